"""From trained networks to scorecards, on a run small enough to be done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import flows
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.inference.explain import explain_cohort
from medkd.inference.predict import predict_logits
from medkd.training.recipes import bound_digest, read_recipe
from medkd.training.train import distill, load_network, train_teacher
from medkd.volumes.prepare import prepare_cohorts
from medkd.volumes.tensor_cohort import open_use
from medkd.workspace import embedded_workspace

SMALL = {
    "data.teacher": 64, "data.teacher_validation": 32, "data.student": 64, "data.test": 32, "data.debiased": 32, "data.reversed": 32,
    "data.marker_pairs": 8, "seeds": [0, 1], "teacher.fit.epochs": 1, "student.fit.epochs": 1, "explain.cases": 2,
    "student.network.options.channels": [4, 4, 4, 4], "teacher.network.options.channels": [4, 4, 4, 4],
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml", SMALL)
    workspace = embedded_workspace(tmp_path_factory.mktemp("run"))
    cohorts, bound = prepare_cohorts(workspace, recipe, ""), bound_digest(recipe)
    teacher = train_teacher(workspace, recipe, cohorts, bound)
    students = {arm: [distill(workspace, recipe, cohorts, teacher, arm, seed, bound) for seed in (0, 1)] for arm in ("alone", "kd")}
    evaluations = {arm: tuple(evaluate_model(workspace, recipe, cohorts, s, teacher) for s in own) for arm, own in students.items()}
    return recipe, workspace, cohorts, teacher, students, evaluations


def test_a_scorecards_auc_is_the_mean_over_seeds(run):
    recipe, workspace, cohorts, _, students, evaluations = run
    card = summarise(workspace, recipe, cohorts, evaluations["alone"])
    cohort = open_use(cohorts, "debiased", workspace.store, recipe.task)
    by_hand = [
        roc_auc_score(cohort.labels.numpy(), predict_logits(load_network(workspace, s), cohort.images).softmax(1)[:, 1].double().numpy())
        for s in students["alone"]
    ]
    assert card.figures["auc_debiased"].mean == pytest.approx(np.mean(by_hand))
    assert card.per_seed["auc_debiased"] == pytest.approx(by_hand)
    assert card.figures["auc_debiased"].low <= card.figures["auc_debiased"].mean <= card.figures["auc_debiased"].high
    assert card.figures["marker_effect"].n == 8
    assert card.seeds == (0, 1)


def test_the_teacher_agrees_with_itself(run):
    recipe, workspace, cohorts, teacher, _, _ = run
    card = summarise(workspace, recipe, cohorts, (evaluate_model(workspace, recipe, cohorts, teacher, teacher),))
    assert card.figures["agreement"].mean == pytest.approx(1.0, abs=1e-6)


def test_a_comparison_is_the_difference_of_the_cards(run):
    recipe, workspace, cohorts, _, _, evaluations = run
    compared = compare_arms(workspace, cohorts, evaluations["kd"], evaluations["alone"])
    cards = {arm: summarise(workspace, recipe, cohorts, evaluations[arm]).figures for arm in ("kd", "alone")}
    for name, figure in compared.figures.items():
        assert figure.mean == pytest.approx(cards["kd"][name].mean - cards["alone"][name].mean, abs=1e-9)
        assert figure.low <= figure.mean <= figure.high
    same = compare_arms(workspace, cohorts, evaluations["kd"], evaluations["kd"])
    assert all((f.low, f.mean, f.high) == (0, 0, 0) for f in same.figures.values())


def test_explanations_are_stored_raw_with_their_provenance(run):
    recipe, workspace, cohorts, teacher, students, _ = run
    bundle = explain_cohort(workspace, recipe, cohorts, students["kd"][0], teacher)
    assert len(bundle.explanations) == 2 * len(recipe.explain.explainers)
    first = bundle.explanations[0]
    assert first.weights_digest == students["kd"][0].weights_digest
    assert workspace.store.read_tensors(first.array)[first.tensor].shape == (2, 64, 64)
    assert {name.split("/")[1] for name in bundle.figures} >= {"mass_in_lesion", "randomisation", "deletion"}
    assert {value.name for value in first.measures} >= {"mass_in_lesion", "deletion", "insertion", "randomisation"}
