"""Aliases move by verdict and signature, in one order, and a repeated or interrupted promotion ends in the same state."""

from __future__ import annotations

from itertools import pairwise

import pytest

from data_contracts import PromotionVerdict, read_record
from medkd.promotion.check_promotion import check_promotion
from medkd.promotion.history import promotion_events
from medkd.promotion.promote import move_candidate, promote, verdicts_of
from medkd.promotion.rollback import rollback
from tests.promotion.moves import NAME, PERSON, Killed, code_of, killed_before, to_champion
from tests.promotion.promoters import POLICY


def test_a_student_that_gains_dice_and_loses_its_reasons_is_refused_with_both_figures(registry, make):
    to_champion(registry, make(mark="old", dice=0.75, evidence=0.65))
    shortcut = make(mark="shortcut", dice=0.85, evidence=0.30)
    code, sentence = code_of(to_champion, registry, shortcut)
    assert code == "PROMOTION_REFUSED"
    assert "evidence: relevance_mass_accuracy 0.300 against the champion's 0.650: difference -0.350" in sentence
    assert "at its task: dice 0.850 against the champion's 0.750: difference +0.100" in sentence
    assert registry.aliases(NAME)["champion"] == 1
    kept = registry.fetch_attached(shortcut.uri, f"promotion/{next(iter(verdicts_of(registry, shortcut)))}/verdict.json")
    verdict = read_record(kept.read_bytes(), PromotionVerdict)
    assert [check.theme for check in verdict.refusing] == ["evidence"]
    assert not verdict.passed


def test_a_champion_needs_a_signature_under_this_verdict(registry, make):
    first, second = make(mark="first"), make(mark="second")
    code, sentence = code_of(promote, registry, first.uri, POLICY, to="champion")
    assert code == "PROMOTION_UNSIGNED"
    assert "--signed-by" in sentence
    early = PERSON.sign(check_promotion(registry, second.uri, POLICY))
    to_champion(registry, first)
    code, sentence = code_of(promote, registry, second.uri, POLICY, to="champion", sign_off=early)
    assert code == "PROMOTION_UNSIGNED"
    assert early.verdict_digest[:12] in sentence
    assert registry.aliases(NAME) == {"champion": 1}


def test_a_repeated_promotion_changes_nothing(registry, make):
    first = to_champion(registry, make())
    tags, names = dict(registry.version_tags), registry.name_tags(NAME)
    again = to_champion(registry, first.model)
    assert (again.changed, again.verdict, again.event) == (False, first.verdict, first.event)
    assert (registry.version_tags, registry.name_tags(NAME)) == (tags, names)


def test_a_candidate_may_fail_and_its_verdict_says_so(registry, make):
    done = promote(registry, make(dice=0.3).uri, POLICY)
    assert registry.aliases(NAME) == {"candidate": 1}
    assert not done.verdict.passed
    assert done.changed
    assert not promote(registry, f"models:/{NAME}@candidate", POLICY).changed


@pytest.mark.parametrize("step", range(6))  # verdict, signature, event, two aliases, event done
def test_a_promoter_that_ends_between_two_writes_is_finished_by_the_next(registry, make, step):
    """Before the event is written nothing has moved; from then on the next one finishes it, whoever that is."""
    old, new, third = make(mark="old"), make(mark="new"), make(mark="third")
    to_champion(registry, old)
    killed_before(registry, step)
    with pytest.raises(Killed):
        to_champion(registry, new)
    assert registry.aliases(NAME)["champion"] in (1, 2)
    to_champion(registry, new)
    assert registry.aliases(NAME) == {"champion": 2, "previous": 1}
    assert [(e.version, e.before, e.done) for e in promotion_events(registry, NAME)] == [(1, None, True), (2, 1, True)]
    to_champion(registry, third)
    assert registry.aliases(NAME) == {"champion": 3, "previous": 2}


def test_an_alias_that_somebody_else_moves_is_seen(registry, make, monkeypatch):
    model, own = make(), registry.set_alias
    make(mark="other")
    monkeypatch.setattr(registry, "set_alias", lambda name, alias, _version: own(name, alias, 2))
    code, sentence = code_of(move_candidate, registry, model)
    assert (code, "at 2" in sentence) == ("ALIAS_MOVED", True)
    code, _ = code_of(to_champion, registry, model)
    assert code == "ALIAS_MOVED"


def test_a_champion_set_by_hand_is_what_is_compared_with_and_gone_back_to(registry, make):
    first, second = make(mark="first"), make(mark="second")
    registry.set_alias(NAME, "champion", first.version)
    assert to_champion(registry, second).verdict.compared_with == first.lineage
    assert rollback(registry, NAME).model == first
    assert all(later.number == earlier.number + 1 for earlier, later in pairwise(promotion_events(registry, NAME)))
