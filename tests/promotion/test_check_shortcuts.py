"""A version that follows a mark is not promoted; one that was not audited is, unless the policy asks for an audit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_contracts import (
    AuditReport,
    CheckOutcome,
    Estimate,
    NotMeasuredPolicy,
    PromotionPolicy,
    ShortcutsPolicy,
    ShortcutVerdict,
    load_record,
)
from medkd.promotion.check_shortcuts import check_shortcuts
from tests.flows.recording import GOLDEN
from tests.promotion.versions import setting_of

REPORT = load_record(GOLDEN / "audit_report_1.json", AuditReport)


@pytest.fixture
def check(registry, make):
    """Return the one check of a version with some audit (of its own weights) under some policy."""
    setting = setting_of(registry, make())
    own = setting.subject.model.weights_digest

    def checked(audit, weights=own, **policy):
        report = None if audit is None else audit.model_copy(update={"weights_digest": weights})
        (found,) = check_shortcuts(
            replace(
                setting,
                policy=PromotionPolicy(name="policy", **{"shortcuts": ShortcutsPolicy(), **policy}),
                subject=replace(setting.subject, audit=report),
            )
        )
        return found

    return checked


def test_a_followed_mark_refuses_with_its_figures(check):
    found = check(REPORT)
    assert found.outcome is CheckOutcome.FAILS
    assert found.refuses
    assert found.reason.startswith(
        "follows corner_mark on clinic (20 patients); largest effect corner_mark: probability of malignant +0.400"
    )
    assert found.figure.mean == 0.4


def test_what_the_policy_allows_and_settings_of_a_scanner_do_not_refuse(check):
    allowed = check(REPORT, shortcuts=ShortcutsPolicy(allowed=("corner_mark",)))
    assert allowed.outcome is CheckOutcome.HOLDS
    assert allowed.reason.endswith("corner_mark followed and allowed")
    gain = REPORT.artefacts[1].model_copy(update={"verdict": ShortcutVerdict.FOLLOWS})
    quiet = REPORT.artefacts[0].model_copy(update={"verdict": ShortcutVerdict.SILENT})
    report = REPORT.model_copy(update={"artefacts": (quiet, gain)})
    assert check(report).outcome is CheckOutcome.HOLDS
    assert check(report, shortcuts=ShortcutsPolicy(kinds=("acquisition",))).outcome is CheckOutcome.FAILS


@pytest.mark.parametrize(
    ("audit", "weights", "said"), [(None, "", "has no shortcut audit"), (REPORT, "d" * 64, "is of the weights dddddddddddd")]
)
def test_what_was_not_measured_is_accepted_unless_the_policy_asks_for_it(check, audit, weights, said):
    found = check(audit, weights)
    assert found.outcome is CheckOutcome.NOT_MEASURED
    assert said in found.reason
    assert not found.refuses
    assert check(audit, weights, not_measured=NotMeasuredPolicy(shortcuts="refuse")).refuses


def test_an_audit_of_other_artefacts_measures_nothing_and_no_kind_asks_nothing(check):
    gain = REPORT.model_copy(update={"artefacts": REPORT.artefacts[1:]})
    assert check(gain).outcome is CheckOutcome.NOT_MEASURED
    assert check(gain, shortcuts=ShortcutsPolicy(kinds=())).outcome is CheckOutcome.NOT_APPLICABLE


def beyond(effect, n=20):
    """Return the audit with a frame that moves the answers one way, as far as noise of its energy does."""
    frame = REPORT.artefacts[0].model_copy(
        update={"name": "frame", "verdict": ShortcutVerdict.UNDETERMINED, "n": n, "effect": effect, "reason": "noise does as much"}
    )
    return REPORT.model_copy(update={"artefacts": (frame, REPORT.artefacts[0].model_copy(update={"verdict": ShortcutVerdict.SILENT}))})


@pytest.mark.parametrize("sign", [1, -1])
def test_a_large_mark_whose_control_moves_as_much_is_a_warning_and_on_request_a_refusal(check, sign):
    low, high = sorted((sign * 0.078, sign * 0.097))
    report = beyond(Estimate(mean=sign * 0.088, low=low, high=high, n=20))
    found = check(report)
    assert found.outcome is CheckOutcome.HOLDS
    assert found.reason.endswith(
        f"warning: wholly beyond 0.05 and undetermined (by the control, or after the correction) is the effect of frame {sign * 0.088:+.3f} [{low:+.3f}, {high:+.3f}]"
    )
    refused = check(report, shortcuts=ShortcutsPolicy(beyond_bound="refuse"))
    assert refused.refuses
    assert refused.reason.startswith(
        "is moved one way beyond the bound by frame, which the policy refuses (shortcuts.beyond_bound) on clinic"
    )
    assert "warning" not in refused.reason
    allowed = check(report, shortcuts=ShortcutsPolicy(beyond_bound="refuse", allowed=("frame",)))
    assert (allowed.outcome, "warning" in allowed.reason) == (CheckOutcome.HOLDS, True)
    both = report.model_copy(update={"artefacts": (*report.artefacts[:1], REPORT.artefacts[0])})
    assert check(both, shortcuts=ShortcutsPolicy(beyond_bound="refuse")).reason.startswith("follows corner_mark and is moved one way")


def test_an_effect_that_reaches_the_bound_or_of_few_patients_is_no_warning(check):
    strict = ShortcutsPolicy(beyond_bound="refuse")
    for report in (beyond(Estimate(mean=0.054, low=0.047, high=0.061, n=20)), beyond(Estimate(mean=0.3, low=0.2, high=0.4, n=4), n=4)):
        assert not check(report, shortcuts=strict).refuses
        assert "warning" not in check(report).reason


def test_a_policy_that_only_warns_is_written_as_before():
    assert b"beyond_bound" not in PromotionPolicy(name="policy", shortcuts=ShortcutsPolicy(allowed=("text",))).canonical_json()
    strict = PromotionPolicy(name="policy", shortcuts=ShortcutsPolicy(beyond_bound="refuse"))
    assert PromotionPolicy.model_validate_json(strict.canonical_json()) == strict


def test_policies_from_before_keep_their_digest():
    assert b"shortcuts" not in PromotionPolicy(name="policy").canonical_json()
