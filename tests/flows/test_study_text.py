"""What the command line says of a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Caveat, ClassAnswer, ReviewReport, load_record
from flows.study_text import findings_summary, findings_text

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_2.json"


@pytest.fixture
def report():
    return load_record(GOLDEN, ReviewReport)


def changed(report, **changes):
    return report.model_copy(update={"explanations": (report.explanations[0].model_copy(update=changes),)})


def numbered(report, number, **changes):
    lesion = report.explanations[0].lesions[0].model_copy(update={"tracking_id": f"lesion-{number}", **changes})
    maps = [one.model_copy(update={"tensor": one.tensor.replace("map/1/", f"map/{number}/")}) for one in report.explanations[0].maps]
    return lesion, maps


def test_each_finding_says_whether_the_teacher_agrees(report):
    shown = [(0.7, 0.81), (0.0, 0.0), (None, None)]
    found = [numbered(report, n, share_in_teacher=s, dice_to_teacher=d) for n, (s, d) in enumerate(shown, 1)]
    payload = changed(report, lesions=tuple(one for one, _ in found), maps=tuple(one for _, maps in found for one in maps), teacher_only=())
    assert findings_text(payload).splitlines() == [
        "lesion 1: 0.40 ml, left, teacher agrees (Dice 0.81)",
        "lesion 2: 0.40 ml, left, ONLY THE STUDENT MARKS THIS",
        "lesion 3: 0.40 ml, left, no teacher to compare with",
    ]
    assert [one["teacher_agrees"] for one in findings_summary(payload)["findings"]] == [True, False, None]


def test_what_the_student_missed_is_said_even_where_it_found_nothing(report):
    missed = report.explanations[0].teacher_only[0].model_copy(update={"volume_ml": 2.1, "side": "unknown"})
    nothing = changed(report, lesions=(), maps=(), teacher_only=(missed,))
    assert findings_text(nothing).splitlines() == ["no finding", "teacher only: 2.10 ml, side unknown, at LPS (1, 2, 3) mm"]
    assert findings_summary(nothing)["teacher_only"] == [
        {"class": "lesion", "volume_ml": 2.1, "side": "unknown", "centre_lps_mm": [1.0, 2.0, 3.0]}
    ]


def test_an_answer_says_its_slices_and_what_the_teacher_answers(report):
    answer = ClassAnswer(
        number=1, class_name="malignant", probability=0.8, first_slice=1, last_slice=3, key_slice=2, teacher_probabilities={"benign": 0.9}
    )
    payload = changed(report, lesions=(), answers=(answer,), teacher_only=())
    assert findings_text(payload) == "answer 1: malignant (probability 0.80), slices 2 to 4, teacher answers benign"
    assert findings_summary(payload)["answers"][0]["teacher_agrees"] is False


def test_what_probabilities_are_worth_is_said_last(report):
    said = [Caveat(code=code, text=f"net: {code.lower()}.", severity=1) for code in ("CALIBRATED", "MISSED_BOUND", "OTHER")]
    payload = changed(report, teacher_only=()).model_copy(update={"caveats": tuple(said)})
    assert findings_text(payload).splitlines()[-2:] == ["CALIBRATED: net: calibrated.", "MISSED_BOUND: net: missed_bound."]


def test_failed_tests_of_a_finding_are_named_for_machines(report):
    payload = findings_summary(report)
    assert payload["findings"][0]["failed_checks"] == {"grad_cam": ["random_lesion"]}


def test_anatomy_is_no_finding_and_what_the_model_was_trained_on_is_said_first(report):
    nothing = changed(report, structures="anatomy", trained_on="MR, hippocampus", lesions=(), maps=(), teacher_only=())
    assert findings_text(nothing).splitlines() == ["trained on MR, hippocampus", "no structure found"]
    assert (findings_summary(nothing)["structures"], findings_summary(nothing)["trained_on"]) == ("anatomy", ["MR, hippocampus"])
    assert (findings_summary(report)["structures"], findings_summary(report)["trained_on"]) == ("lesion", [])
