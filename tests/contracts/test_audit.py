"""The record of a shortcut audit."""

from __future__ import annotations

import pytest

from data_contracts import AuditReport, ShortcutVerdict, load_record
from tests.flows.recording import GOLDEN

REPORT = load_record(GOLDEN / "audit_report_1.json", AuditReport)


def test_artefacts_are_found_by_their_verdict():
    assert [one.name for one in REPORT.with_verdict(ShortcutVerdict.FOLLOWS)] == ["corner_mark"]
    assert [one.name for one in REPORT.with_verdict(ShortcutVerdict.SILENT)] == ["gain"]


@pytest.mark.parametrize("wrong", [{"bound": 0}, {"artefacts": ()}, {"n": 0}, {"weights_digest": "x"}])
def test_a_report_that_says_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AuditReport.model_validate({**REPORT.model_dump(), **wrong})
