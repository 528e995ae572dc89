"""A third kind of task must not be taken for one of two: every module that asks for the kind says what it does with detections."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import medkd
from data_contracts import DataError, Task, TaskKind, has_served_form, require_kind

ROOT = Path(medkd.__file__).parent
#: Modules that ask for a kind and are never reached by a detection, with what keeps it away.
KEPT_AWAY = {
    "audit/answers.py": "audits refuse detections (audit_model.py)",
    "audit/open_folder.py": "audits refuse detections (audit_model.py)",
    "cohorts/dicom_cohort.py": "asks for classification, and else for masks, which detections have",
    "cohorts/external_dataset.py": "asks for classification, and else for masks, which detections have",
    "cohorts/phantom_cohorts.py": "names the classes of the phantom",
    "compression/answer_cases.py": "compression refuses detections (candidates.py)",
    "compression/form_process.py": "compression refuses detections (candidates.py)",
    "compression/training_images.py": "compression refuses detections (candidates.py)",
    "compression/tune.py": "compression refuses detections (candidates.py)",
    "drift/prediction_profile.py": "reads explanations of studies, which detections have none of (explain_study.py)",
    "drift/reference.py": "explains studies (explain_study.py)",
    "drift/window_performance.py": "reads what studies were explained (explain_study.py)",
    "evaluation/ask_validation.py": "asked by calibration, which refuses detections (calibrate.py)",
    "evaluation/class_figures.py": "of several teachers, which a recipe of detections must not have (kind_mistakes.py)",
    "experiment/gap_fine_tuning.py": "experiments refuse detections (kind_mistakes.py)",
    "experiment/trials.py": "experiments refuse detections (kind_mistakes.py)",
    "experiment/validate_student.py": "experiments refuse detections (kind_mistakes.py)",
    "explanation/artefact.py": "reads explanations of studies (explain_study.py)",
    "explanation/class_subjects.py": "part of the explanation of a study (explain_study.py)",
    "explanation/defaults.py": "explainers of studies (explain_study.py)",
    "explanation/explain_panel.py": "a panel has no place for detections (choose_panel.py)",
    "explanation/explain_served.py": "detections have no served form (publish.py)",
    "explanation/inspect_model.py": "asks about the region of ask(), the strongest cell of a detection",
    "explanation/lesion_subjects.py": "part of the explanation of a study (explain_study.py)",
    "feedback/agreement.py": "reads reports, which show no detections (choose_panel.py)",
    "feedback/directives.py": "reads reports, which show no detections (choose_panel.py)",
    "feedback/judged_reports.py": "reads reports, which show no detections (choose_panel.py)",
    "foreign/monai_bundle.py": "says of which of two kinds a bundle is; none is a detector",
    "foreign/nnunet_folder.py": "nnU-Net segments",
    "inference/nearest_cases.py": "reads training features, which detections have none of (evaluation_calls.py)",
    "knowledge/extract.py": "stores refuse detections (extract_knowledge.py)",
    "knowledge/stored.py": "stores refuse detections (kind_mistakes.py)",
    "models/_heads.py": "a head that classifies is one of a segmentation's",
    "planning/count_cases.py": "counts the phantom's biased cohorts of classification",
    "planning/read_folder.py": "says of which of two kinds a folder is",
    "registry/candidates.py": "lists what segments",
    "review/choose_panel.py": "takes both kinds that a report shows; there is no place for boxes on it",
    "registry/form_texts.py": "detections have no served form (publish.py)",
    "review/ask_form.py": "reads reports, which show no detections (choose_panel.py)",
    "review/page_context.py": "reads reports, which show no detections (choose_panel.py)",
    "review/similar_table.py": "reads reports, which show no detections (choose_panel.py)",
    "review/summary.py": "reads reports, which show no detections (choose_panel.py)",
    "serving/bundle_inference.py": "bundles refuse detections (write_bundle.py)",
    "serving/bundle_texts.py": "bundles refuse detections (write_bundle.py)",
    "serving/form.py": "forms refuse detections (pack_form.py)",
    "serving/served_model.py": "forms refuse detections (pack_form.py)",
    "serving/study.py": "forms refuse detections (pack_form.py)",
    "training/bind_cases.py": "made pictures are refused of every task but a classification",
    "training/bind_recipe.py": "asks whether pasted boxes bring their labels, which masks do; the rest is kind_mistakes.py",
    "training/bind_teachers.py": "asks whether stores are read at half resolution, which detections refuse (kind_mistakes.py)",
    "training/requirements.py": "asked of stores, which refuse detections (kind_mistakes.py)",
}
DETECTION = Task(kind="detection", classes=("background", "lesion"))


def asking():
    return sorted(
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if re.search(r"TaskKind\.(CLASSIFICATION|SEGMENTATION)", path.read_text())
    )


@pytest.mark.parametrize("module", asking())
def test_a_module_that_asks_for_the_kind_says_what_it_does_with_detections(module):
    text = (ROOT / module).read_text()
    handled = "TaskKind.DETECTION" in text or "require_kind(" in text or ".is_dense" in text
    assert handled or module in KEPT_AWAY, (
        f"{module} asks for two kinds of tasks: say what it does with detections, or refuse them (require_kind)"
    )


def test_no_module_is_listed_that_does_not_ask():
    assert set(KEPT_AWAY) <= set(asking())


@pytest.mark.parametrize("keeper", sorted({name for reason in KEPT_AWAY.values() for name in re.findall(r"\((\w+\.py)\)", reason)}))
def test_who_is_said_to_keep_detections_away_knows_of_them(keeper):
    texts = [path.read_text() for path in ROOT.rglob(keeper)]
    assert any(
        "DETECTION" in text
        or "require_kind(" in text
        or "has_served_form(" in text
        or "no place for boxes" in text
        or "explains studies" in text
        for text in texts
    )


def test_the_refusal_says_what_was_expected_and_what_came():
    with pytest.raises(DataError, match="expected a task of classification or segmentation for compression, got detection") as caught:
        require_kind(DETECTION, "compression")
    assert caught.value.code == "TASK_KIND"
    require_kind(DETECTION, "boxes", TaskKind.DETECTION)


def test_neither_a_detector_nor_a_network_that_sees_a_clinical_row_has_a_served_form():
    plain = Task(kind="classification", classes=("background", "lesion"))
    assert has_served_form(plain)
    assert not has_served_form(DETECTION)
    assert has_served_form(plain.model_copy(update={"channels": ("t1", "t2")}))
    assert not has_served_form(plain.model_copy(update={"clinical": ("age",)}))


def test_a_detection_has_one_class_of_lesions_and_no_flips():
    with pytest.raises(ValueError, match="one class of lesions"):
        Task(kind="detection", classes=("background", "cyst", "tumour"))
    with pytest.raises(ValueError, match="no test_time_flips"):
        Task(kind="detection", classes=("background", "lesion"), test_time_flips=(0,))
