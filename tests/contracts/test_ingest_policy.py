from __future__ import annotations

import pytest

from data_contracts import CODES, Action, ContractError, IngestCode, IngestPolicy, Severity


def test_every_code_has_one_line_in_the_table():
    assert set(CODES) == set(IngestCode)
    assert all(fact.meaning and fact.mend for fact in CODES.values())


@pytest.mark.parametrize("code", IngestCode, ids=lambda code: code.value)
def test_what_a_code_does_by_itself_and_may_do_follows_from_how_bad_it_is(code):
    fact = CODES[code]
    assert fact.default in fact.allows
    assert (Action.REPAIR in fact.allows) is bool(fact.repair) or fact.severity is Severity.NOTE
    if fact.severity is Severity.ERROR:
        assert fact.default is Action.REJECT


def test_an_action_of_a_single_code_wins_over_that_of_all():
    policy = IngestPolicy(every=Action.REPAIR, actions={IngestCode.GANTRY_TILT: Action.ACCEPT_WITH_FLAG})
    assert policy.action(IngestCode.GANTRY_TILT) is Action.ACCEPT_WITH_FLAG
    assert policy.action(IngestCode.VARIABLE_SPACING) is Action.REPAIR


def test_an_action_for_all_leaves_codes_that_do_not_allow_it_at_their_own():
    policy = IngestPolicy(every=Action.REPAIR)
    assert policy.action(IngestCode.TOO_FEW_SLICES) is Action.REJECT
    assert policy.action(IngestCode.DUPLICATE_FILE) is Action.IGNORE
    assert IngestPolicy().action(IngestCode.GANTRY_TILT) is Action.REJECT


def test_a_code_is_not_accepted_because_a_recipe_says_so():
    with pytest.raises(ContractError, match="expected one of reject for TOO_FEW_SLICES, got accept_with_flag: too few slices") as caught:
        IngestPolicy(actions={IngestCode.TOO_FEW_SLICES: Action.ACCEPT_WITH_FLAG})
    assert caught.value.code == "POLICY_NOT_ALLOWED"
