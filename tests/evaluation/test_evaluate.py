"""From trained networks to scorecards, on a run small enough to be done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

import flows
from data_contracts import Entry, Shift
from medkd.attribution._attribute import attribute
from medkd.attribution.adversarial import adversarial
from medkd.cohorts.prepare import prepare_cohorts
from medkd.cohorts.tensor_cohort import open_use
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.explanation.explain_cohort import explain_cohort, siblings_of
from medkd.explanation.inspect_model import inspect_model
from medkd.inference.predict import predict_logits
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy
from medkd.measures.structural_similarity import structural_similarity
from medkd.models._load import load_network
from medkd.storage.workspace import local_workspace
from medkd.targets import class_margin
from medkd.trace import trace
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher
from medkd.volumes.shift import shifted

SMALL = {
    "data.teacher": 64, "data.teacher_validation": 32, "data.student": 64, "data.test": 32, "data.debiased": 32, "data.reversed": 32,
    "data.marker_pairs": 8, "seeds": [0, 1], "teacher.fit.epochs": 1, "student.fit.epochs": 1, "explain.cases": 2,
    "student.network.options.channels": [4, 4, 4, 4], "teacher.network.options.channels": [4, 4, 4, 4],
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml", SMALL)
    workspace = local_workspace(tmp_path_factory.mktemp("run"))
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    students = {
        arm: [distill(workspace, recipe.student_training(arm, seed), cohorts, teacher) for seed in (0, 1)] for arm in ("alone", "kd")
    }
    evaluations = {arm: tuple(evaluate_model(workspace, recipe.name, cohorts, s, teacher) for s in own) for arm, own in students.items()}
    return recipe, workspace, cohorts, teacher, students, evaluations


def test_a_scorecards_auc_is_the_mean_over_seeds(run):
    recipe, workspace, cohorts, _, students, evaluations = run
    card = summarise(workspace, recipe.name, cohorts, evaluations["alone"])
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
    card = summarise(workspace, recipe.name, cohorts, (evaluate_model(workspace, recipe.name, cohorts, teacher, teacher),))
    assert card.figures["agreement"].mean == pytest.approx(1.0, abs=1e-6)


def test_a_comparison_is_the_difference_of_the_cards(run):
    recipe, workspace, cohorts, _, _, evaluations = run
    compared = compare_arms(workspace, cohorts, evaluations["kd"], evaluations["alone"])
    cards = {arm: summarise(workspace, recipe.name, cohorts, evaluations[arm]).figures for arm in ("kd", "alone")}
    for name, figure in compared.figures.items():
        assert figure.mean == pytest.approx(cards["kd"][name].mean - cards["alone"][name].mean, abs=1e-9)
        assert figure.low <= figure.mean <= figure.high
    same = compare_arms(workspace, cohorts, evaluations["kd"], evaluations["kd"])
    assert all((f.low, f.mean, f.high) == (0, 0, 0) for f in same.figures.values())


def test_explanations_are_stored_raw_with_their_provenance(run):
    recipe, workspace, cohorts, teacher, students, _ = run
    bundle = explain_cohort(workspace, recipe.explanation(), cohorts, students["kd"][0], teacher)
    assert len(bundle.explanations) == 2 * len(recipe.explain.explainers)
    first = bundle.explanations[0]
    assert first.weights_digest == students["kd"][0].weights_digest
    assert workspace.store.read_tensors(first.array)[first.tensor].shape == (2, 64, 64)
    assert {name.split("/")[1] for name in bundle.figures} >= {"relevance_mass_accuracy", "model_parameter_randomisation", "deletion"}
    assert {value.name for value in first.measures} >= {"relevance_mass_accuracy", "deletion", "insertion", "model_parameter_randomisation"}


def test_other_trainings_and_shifted_images_are_measured_where_a_recipe_asks(run):
    recipe, workspace, cohorts, teacher, students, _ = run
    explain = recipe.explain.model_copy(
        update={
            "explainers": (Entry(name="saliency"),),
            "measures": (Entry(name="relevance_mass_accuracy"), Entry(name="repeatability")),
            "shift": Shift(kind="noise", strength=0.2),
            "cases": 3,
        }
    )
    asked, (first, second) = recipe.model_copy(update={"explain": explain}), students["kd"]
    siblings = siblings_of(asked.explanation(), first, (teacher, *students["alone"], first, second))
    assert siblings == (second,)
    assert siblings_of(recipe.explanation(), first, (first, second)) == ()
    bundle = explain_cohort(workspace, asked.explanation(), cohorts, first, teacher, siblings)

    cohort = open_use(cohorts, "debiased", workspace.store, recipe.task).select(torch.arange(3))
    answer = predict_logits(load_network(workspace, teacher), cohort.images).argmax(1)
    maps = [attribute(load_network(workspace, one), cohort.images, class_margin(answer), explainer="saliency") for one in (first, second)]
    alike = [structural_similarity(maps[0], other) for other in (maps[1], maps[1].roll(1, 0))]
    assert bundle.figures["saliency/repeatability"].mean == pytest.approx(float((alike[0] - alike[1]).mean()), abs=1e-9)
    noisy = shifted(cohort.images, explain.shift)
    moved = attribute(load_network(workspace, first), noisy, class_margin(answer), explainer="saliency")
    lost = relevance_mass_accuracy(moved, cohort.masks) - relevance_mass_accuracy(maps[0], cohort.masks)
    known = lost[~lost.isnan()]
    assert bundle.figures["saliency/off_distribution:relevance_mass_accuracy"].mean == pytest.approx(float(known.mean()), abs=1e-9)
    assert "baseline_edges/off_distribution:relevance_mass_accuracy" in bundle.figures
    assert {value.name for value in bundle.explanations[0].measures} >= {"repeatability", "off_distribution:relevance_mass_accuracy"}

    alone = explain_cohort(workspace, asked.explanation(), cohorts, first, teacher)
    assert "saliency/repeatability" not in alone.figures
    (undefined,) = (value for value in alone.explanations[0].measures if value.name == "repeatability")
    assert undefined.value is None
    assert "single training" in undefined.reason


@pytest.mark.extended
def test_an_inspection_says_what_no_map_says(run):
    recipe, workspace, cohorts, teacher, students, _ = run
    config = recipe.model_copy(update={"explain": recipe.explain.model_copy(update={"cases": 2})})
    student = students["kd"][0]
    found = inspect_model(workspace, config.explanation(), cohorts, student, teacher)
    cohort = open_use(cohorts, "debiased", workspace.store, recipe.task).select(torch.arange(2))
    teacher_network, network = load_network(workspace, teacher), load_network(workspace, student)
    answer = predict_logits(teacher_network, cohort.images).argmax(1)
    least = [adversarial(trace(network, cohort.images[row : row + 1]), class_margin(answer[row : row + 1])) for row in range(2)]
    flipped = [float(one.distance[0]) / 64 for one in least if bool(one.flipped[0])]  # 64 x 64 pixels
    assert found.figures["student/flipped"].mean == pytest.approx(len(flipped) / 2)
    assert found.figures["student/minimal_perturbation_rms"].mean == pytest.approx(np.mean(flipped), rel=1e-6)
    assert [layer.name for layer in found.layers] == list(found.teacher_layers) == ["layer1", "layer2", "layer3", "layer4"]
    assert all(0 <= value <= 1 + 1e-9 for row in found.similarity for value in row)
    arrays = workspace.store.read_tensors(found.array)
    assert {"feature_visualisation/benign", "feature_visualisation/malignant", "image", "change/student", "plane/teacher"} <= set(arrays)
    margins = [
        float(class_margin(index)(predict_logits(network, arrays[f"feature_visualisation/{name}"])))
        for index, name in enumerate(recipe.task.classes)
    ]
    ordinary = class_margin(0)(predict_logits(network, cohort.images))
    assert margins[0] > float(ordinary.max())
    assert margins[1] > float(-ordinary.min())
    with Image.open(workspace.store.path(found.picture)) as picture:
        assert picture.format == "PNG"
    itself = inspect_model(workspace, config.explanation(), cohorts, teacher, teacher)
    assert [row[place] for place, row in enumerate(itself.similarity)] == pytest.approx([1.0] * 4)
    for name, figure in itself.figures.items():
        role, _, measure = name.partition("/")
        assert figure == itself.figures[f"teacher/{measure}"] if role == "student" else role == "teacher" or figure.mean == 0
