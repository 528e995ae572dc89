"""What policies, checks, verdicts and signatures may say."""

from __future__ import annotations

import pytest

from data_contracts import CheckOutcome, PromotionCheck, PromotionEvent, PromotionPolicy, PromotionVerdict, SignOff


def check(outcome, *, required=True):
    return PromotionCheck(theme="task", name="dice", outcome=outcome, required=required, reason="because")


def verdict(*checks, passed):
    return PromotionVerdict(
        subject=f"r-kd/1@{'a' * 64}",
        policy="test",
        policy_digest="b" * 64,
        inputs_digest="0123456789ab" + "c" * 52,
        checks=checks,
        passed=passed,
    )


@pytest.mark.parametrize(
    ("outcome", "required", "holds", "refuses"),
    [
        (CheckOutcome.HOLDS, True, True, False),
        (CheckOutcome.FAILS, True, False, True),
        (CheckOutcome.FAILS, False, False, True),
        (CheckOutcome.NOT_MEASURED, True, None, True),
        (CheckOutcome.NOT_MEASURED, False, None, False),
        (CheckOutcome.NOT_APPLICABLE, True, None, False),
    ],
)
def test_what_was_not_measured_never_holds_and_refuses_where_it_is_required(outcome, required, holds, refuses):
    found = check(outcome, required=required)
    assert (found.holds, found.refuses) == (holds, refuses)


def test_a_verdict_passes_exactly_where_no_check_refuses():
    held, failed = check(CheckOutcome.HOLDS), check(CheckOutcome.FAILS)
    assert verdict(held, passed=True).refusing == ()
    assert verdict(held, failed, passed=False).refusing == (failed,)
    for checks, passed in (((held,), False), ((held, failed), True)):
        with pytest.raises(ValueError, match="expected passed to be what the checks say"):
            verdict(*checks, passed=passed)
    with pytest.raises(ValueError, match="checks"):
        verdict(passed=True)


def test_a_verdict_is_called_by_what_it_depends_on():
    assert verdict(check(CheckOutcome.HOLDS), passed=True).id == "0123456789ab"


def test_the_default_policy_refuses_what_decides_and_was_not_measured():
    found = PromotionPolicy(name="test").not_measured.model_dump()
    assert {theme for theme, done in found.items() if done == "refuse"} == {
        "task", "evidence", "randomisation", "losses", "integrity", "leakage", "lineage"
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes", [{"name": "Upper"}, {"task": {"margin": -0.1}}, {"task": {"figures": []}}, {"cost": {"max_size_mib": 0}}, {"taks": {}}]
)
def test_a_policy_that_cannot_be_meant_is_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        PromotionPolicy(**{"name": "test", **changes})


@pytest.mark.parametrize("signed_at", ["2026-01-01T10:00:00", "2026-01-01", "yesterday"])
def test_a_signature_has_a_person_and_a_time_with_its_zone(signed_at):
    given = {"signed_by": "A", "role": "reader", "statement": "I read it.", "verdict_digest": "a" * 64, "signed_at": "2026-01-01T10:00:00Z"}
    assert SignOff(**given).signed_at.endswith("Z")
    with pytest.raises(ValueError, match="signed_at"):
        SignOff(**{**given, "signed_at": signed_at})
    with pytest.raises(ValueError, match="signed_by"):
        SignOff(**{**given, "signed_by": ""})


@pytest.mark.parametrize("changes", [{"number": 0}, {"version": 0}, {"kind": "demotion"}, {"before": 0}])
def test_an_event_counts_from_one(changes):
    given = {"number": 1, "kind": "promotion", "version": 2}
    assert not PromotionEvent(**given).done
    with pytest.raises(ValueError, match=next(iter(changes))):
        PromotionEvent(**{**given, **changes})
