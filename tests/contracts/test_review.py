from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_contracts import ContractError, ReportSet, ReviewPanel, ReviewReport, read_record

GOLDEN = Path(__file__).parent / "golden"


def test_a_lifted_panel_names_its_versions_and_tests_its_explainers_anew():
    payload = (GOLDEN / "review_panel_1.json").read_bytes()
    panel = read_record(payload, ReviewPanel)
    assert panel.classification.model.name == "classification-student"
    assert panel.segmentation.teacher.name == "segmentation-teacher"
    assert str(panel.segmentation.model.teacher).startswith("segmentation-teacher/2@")
    assert panel.segmentation.sanity_reports == ()


def test_a_panel_of_another_number_of_models_cannot_be_lifted():
    payload = json.loads((GOLDEN / "review_panel_1.json").read_bytes())
    with pytest.raises(ContractError, match="four models of a panel review_panel/1, got 3") as caught:
        read_record(json.dumps({**payload, "models": payload["models"][:3]}), ReviewPanel)
    assert caught.value.code == "CONTRACT_INVALID"


def test_a_report_is_of_the_volume_that_its_explanations_are_of_and_needs_one():
    report = read_record((GOLDEN / "review_4.json").read_bytes(), ReviewReport)
    assert report.volume == report.explanations[0].volume
    with pytest.raises(ValueError, match="at least 1 item"):
        ReviewReport(explanations=(), window=(0.0, 1.0))


def test_a_first_set_of_reports_names_no_explanations():
    assert read_record((GOLDEN / "report_set_1.json").read_bytes(), ReportSet).explanations == ()
