"""A version that follows a mark is not promoted; one that was not audited is, unless the policy asks for an audit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_contracts import AuditReport, CheckOutcome, NotMeasuredPolicy, PromotionPolicy, ShortcutsPolicy, ShortcutVerdict, load_record
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


def test_policies_from_before_keep_their_digest():
    assert b"shortcuts" not in PromotionPolicy(name="policy").canonical_json()
