from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_contracts import SanityCheck, SanityReport, StudyExplanation, map_name, read_record

GOLDEN = Path(__file__).parent / "golden"


def test_a_lifted_explanation_says_what_its_version_meant():
    record = read_record((GOLDEN / "study_explanation_1.json").read_bytes(), StudyExplanation)
    assert (record.mass, record.request.most, record.kind.value) == ("absolute", None, "classification")
    assert record.lesions[0].share_in_teacher is None
    assert (record.teacher_only, record.caveats, record.answers[0].probabilities) == ((), (), {})


@pytest.fixture
def explained():
    return read_record((GOLDEN / "study_explanation_4.json").read_bytes(), StudyExplanation)


def test_a_map_carries_the_number_of_its_finding_in_its_name(explained):
    one = explained.maps[0]
    assert one.model_copy(update={"tensor": map_name(7, "student", "grad_cam")}).number == 7
    again = one.model_copy(update={"tensor": map_name(2, "student", "grad_cam")})
    both = explained.model_copy(update={"maps": (again, again, one.model_copy(update={"tensor": map_name(1, "teacher", "cam")}))})
    assert both.explained == (1, 2)


def test_an_undefined_measure_and_one_that_was_not_taken_are_none(explained):
    one = explained.maps[0]
    assert one.measure("relevance_mass_accuracy") == 0.4
    assert one.measure("pointing_game") is None
    assert one.measure("gini") is None


def test_failed_checks_are_those_of_the_explainer_and_no_others(explained):
    passed, failed, absent = (
        SanityCheck(name=name, value=value, limit=0.5, passed=verdict)
        for name, value, verdict in (("randomisation", 0.1, True), ("completeness", 0.9, False), ("additivity", None, None))
    )
    reports = (
        SanityReport(explainer="cam", checks=(passed, failed, absent), trusted=False),
        SanityReport(explainer="lime", checks=(passed, absent), trusted=True),
    )
    judged = explained.model_copy(update={"sanity_reports": reports})
    assert judged.failed_explainers == ("cam",)
    assert judged.failed_checks("cam") == ("completeness",)
    assert judged.failed_checks("lime") == judged.failed_checks("saliency") == ()


def test_a_lesion_is_numbered_by_its_tracking_id(explained):
    lesion = explained.lesions[0]
    assert lesion.model_copy(update={"tracking_id": "lesion-12"}).number == 12


@pytest.mark.parametrize(("answered", "kind"), [(True, "classification"), (False, "segmentation")])
def test_the_kind_of_a_first_version_follows_from_whether_anything_was_answered(answered, kind):
    payload = json.loads((GOLDEN / "study_explanation_1.json").read_bytes())
    payload["answers"] = payload["answers"] if answered else []
    assert read_record(json.dumps(payload), StudyExplanation).kind.value == kind
