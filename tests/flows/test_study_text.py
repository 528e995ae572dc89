"""What the command line says of a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import ReviewReport, load_record
from flows.study_text import findings_summary, findings_text

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_1.json"


@pytest.fixture
def report():
    return load_record(GOLDEN, ReviewReport)


def test_each_finding_says_whether_the_teacher_agrees(report):
    shown = [(0.7, 0.81), (0.0, 0.0), (None, None)]
    findings = tuple(report.findings[0].model_copy(update={"share_in_teacher": s, "dice_to_teacher": d}) for s, d in shown)
    lines = findings_text(report.model_copy(update={"findings": findings})).splitlines()
    assert lines == [
        "lesion 1: 0.40 ml, left, teacher agrees (Dice 0.81)",
        "lesion 2: 0.40 ml, left, ONLY THE STUDENT MARKS THIS",
        "lesion 3: 0.40 ml, left, no teacher to compare with",
    ]
    payload = findings_summary(report.model_copy(update={"findings": findings}))["findings"]
    assert [one["teacher_agrees"] for one in payload] == [True, False, None]


def test_what_the_student_missed_is_said_even_where_it_found_nothing(report):
    missed = report.findings[0].lesion.model_copy(update={"volume_ml": 2.1, "side": "unknown"})
    nothing = report.model_copy(update={"findings": (), "teacher_only": (missed,)})
    assert findings_text(nothing).splitlines() == ["no finding", "teacher only: 2.10 ml, side unknown, at LPS (1, 2, 3) mm"]
    assert findings_summary(nothing)["teacher_only"] == [
        {"class": "lesion", "volume_ml": 2.1, "side": "unknown", "centre_lps_mm": [1.0, 2.0, 3.0]}
    ]


def test_failed_tests_of_a_finding_are_named_for_machines(report):
    finding = report.findings[0]
    failed = tuple(one.model_copy(update={"failed_checks": ("randomisation",)}) for one in finding.maps)
    payload = findings_summary(report.model_copy(update={"findings": (finding.model_copy(update={"maps": failed}),)}))
    assert payload["findings"][0]["failed_checks"] == {"cam": ["randomisation"]}
