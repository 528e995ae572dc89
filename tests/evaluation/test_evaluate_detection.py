"""A detection recipe from cohorts to registered versions: figures, gate, validation, explanation, card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import flows
from medkd.cohorts.prepare import prepare_cohorts
from medkd.cohorts.tensor_cohort import open_use
from medkd.evaluation.case_results import collect_case_results
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.detection_statistics import MISSED, UNKNOWN
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.evaluation.evaluate_detection import hits_of, mean_sensitivity
from medkd.evaluation.gate_teacher import judge_teacher
from medkd.explanation.explain_cohort import explain_cohort, replay_bundle
from medkd.measures._boxes import Boxes
from medkd.models._load import load_network
from medkd.recipe_calls.evaluation_calls import (
    by_arm,
    calibration_calls,
    card_calls,
    evaluation_calls,
    explanation_calls,
    loss_calls,
    results_calls,
)
from medkd.recipe_calls.evaluation_calls import training_features_calls as features_calls
from medkd.recipe_calls.training_calls import student_calls
from medkd.registry.publish import open_registry, register_models
from medkd.registry.recipe_result import RecipeResult
from medkd.registry.version_files import CARD
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher

SMALL = {
    "data.teacher": 48, "data.teacher_validation": 16, "data.student": 16, "data.unlabelled": 16, "data.test": 24, "seeds": [0],
    "teacher.network.options.channels": [8, 16], "student.network.options.channels": [4, 8], "teacher.fit.epochs": 6,
    "student.fit.epochs": 1, "student.fit.samples_per_epoch": 32, "teacher.gate.enforce": False, "explain.cases": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Return a small run, its workspace and its evaluations by arm."""
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "detection.yaml", SMALL)
    workspace = local_workspace(tmp_path_factory.mktemp("detection"))
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    trained = RecipeResult(recipe, cohorts, teacher=train_teacher(workspace, recipe.teacher_training(), cohorts))
    trained = replace(trained, students=tuple(distill(*call) for call in student_calls(workspace, trained)))
    arms = by_arm(evaluate_model(*call) for call in evaluation_calls(workspace, trained))
    cards = tuple(summarise(*call) for call in card_calls(workspace, trained, arms))
    (cases,) = (collect_case_results(*call) for call in results_calls(workspace, trained, arms))
    return replace(trained, scorecards=cards, case_results=cases), workspace, arms


def test_a_scorecard_has_froc_and_precision_with_intervals_and_the_cases_their_counts(result):
    run, workspace, arms = result
    card = run.scorecards[0].figures
    wanted = {"cpm", "sensitivity_at_1", "ap_10", "ap_50", "recall", "false_positives", "agreement", "relevance_mass_accuracy", "pointing"}
    assert wanted <= set(card)
    assert card["cpm"].low <= card["cpm"].mean <= card["cpm"].high
    assert card["cpm"].missing == 0
    assert card["agreement"].mean == pytest.approx(1)
    assert "test/recall" in run.case_results[0].values
    assert not any("hits" in name for name in run.case_results[0].values)
    compared = compare_arms(workspace, run.cohorts, arms["kd"], arms["alone"], arms["teacher"]).figures
    assert {"cpm", "ap_10"} <= set(compared)


def test_the_figures_of_the_scorecard_are_those_of_the_network_asked_again(result):
    run, workspace, _ = result
    network = load_network(workspace, run.require_teacher())
    asked = mean_sensitivity(network, run.cohorts, "test", workspace.store, run.recipe.task)
    assert run.scorecards[0].figures["cpm"].mean == pytest.approx(asked)


def test_cases_without_lesions_have_no_recall(result):
    run, workspace, _ = result
    masks = open_use(run.cohorts, "test", workspace.store, run.recipe.task).masks
    recall = run.case_results[0].values["test/recall"]
    assert [value is None for value in recall] == [not bool(mask.any()) for mask in masks]
    assert any(value is None for value in recall)


def test_the_gate_judges_a_detector_by_its_sensitivity(result):
    run, workspace, _ = result
    gate = run.recipe.teacher.gate.model_copy(update={"min_cpm": 1.01})
    verdict = judge_teacher(workspace, run.recipe.name, gate, run.cohorts, run.require_teacher())
    assert [(one.requirement, one.holds) for one in verdict.findings] == [("min_cpm", False)]


def test_its_strongest_detection_is_explained_by_both_networks_and_again(result):
    run, workspace, _ = result
    bundle = explain_cohort(*explanation_calls(workspace, run)[-1])
    assert {one.method.explainer for one in bundle.explanations} == {"cam", "input_times_gradient"}
    assert bundle.explanations[0].shape == (64, 64)
    assert "cam/relevance_mass_accuracy" in bundle.figures
    assert replay_bundle(workspace, bundle) == {}


@pytest.mark.extended  # MLflow takes seconds
def test_versions_are_registered_with_a_card_and_without_a_serving_form(result):
    run, workspace, _ = result
    models = register_models(workspace, run).models
    assert models[0].name == "detection-teacher"
    registry = open_registry(workspace)  # what it fetched goes with it
    _, folder = registry.fetch(models[-1].uri)
    assert (folder / CARD).is_file()


def test_what_is_not_there_for_detectors_is_not_asked(result):
    run, workspace, _ = result
    assert calibration_calls(workspace, run) == []
    assert features_calls(workspace, run) == []
    assert loss_calls(workspace, run) == []


def test_a_case_that_nobody_has_looked_at_is_told_from_one_without_lesions():
    found = [Boxes(torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([0.5]))] * 2
    lesion = torch.zeros(16, 16, dtype=torch.uint8)
    lesion[10:12, 10:12] = 1
    hits = hits_of(found, [lesion, lesion], [True, False], "centre").numpy()
    assert hits[0, 0, 0] == MISSED
    assert hits[0, 1, 0] == pytest.approx(0.5)
    assert np.isnan(hits[0, :, 1:]).all()
    assert (hits[1] == UNKNOWN).all()
