"""The stage on cohorts small enough to be done by hand: classification, segmentation of pictures and of volumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from scipy.special import softmax

import flows
from data_contracts import Calibration, Checkpoint, CohortUse, DataError, LeakageError, ModelCard, NetworkSpec, Part, Scorecard, load_record
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.prepare import prepare_cohorts
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.evaluation import ask_validation
from medkd.evaluation.calibrate import calibrate, calibration_subset
from medkd.evaluation.conformal import bound_missed
from medkd.inference.predict import predict_logits
from medkd.inference.predict_cohort import volume_logits
from medkd.measures.expected_calibration_error import expected_calibration_error
from medkd.models._build import build_network
from medkd.models._load import load_network
from medkd.recipe_calls.evaluation_calls import calibration_calls
from medkd.registry.load_version import load_calibrated
from medkd.registry.publish import CALIBRATION, RELIABILITY, register_models
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe
from tests.registry.memory_registry import MemoryRegistry

CASES = {"data.teacher": 8, "data.student": 8, "data.test": 8}
PICTURES = {**CASES, "data.debiased": 8, "data.reversed": 8, "data.marker_pairs": 8, "seeds": [0]}
RUNS = {
    "phantom-classification": {**PICTURES, "data.teacher_validation": 60, "student.network.options.channels": [4, 4, 4, 4]},
    "phantom-segmentation": {
        **CASES,
        "data.teacher_validation": 24,
        "data.unlabelled": 8,
        "seeds": [0],
        "student.network.options.channels": [4, 8, 8],
    },
    "few_labels_3d": {**CASES, "data.teacher_validation": 8, "data.student_validation": 10, "data.unlabelled": 8, "seeds": [0]},
}


def spread(network, by=6.0):
    """Return weights whose answers are far apart, as those of trained networks are."""
    return {name: value * by if name.startswith(("head", "fc", "net.fc")) else value for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def make_run(tmp_path_factory):
    made = {}

    def make(name):
        if name not in made:
            recipe = read_recipe(Path(flows.__file__).parent / "recipes" / f"{name}.yaml", RUNS[name])
            workspace = local_workspace(tmp_path_factory.mktemp("run"))
            cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
            network = recipe.student_training("alone", 0).network
            spec = NetworkSpec(builder=network.builder, options=network.options, spatial_dims=recipe.task.spatial_dims)
            weights = workspace.store.write_tensors("models/x.safetensors", spread(build_network(spec, seed=3)))
            student = Checkpoint(
                role="student", arm="alone", seed=0, network=spec, task=recipe.task, weights=weights, weights_digest=weights.sha256,
                cohort_digest=cohorts.digest(), recipe_digest="d" * 64, parameters=1, epochs=1,
            )  # fmt: skip
            made[name] = recipe, workspace, cohorts, student
        return made[name]

    return make


def test_a_classifier_is_calibrated_on_its_validation_patients(make_run):
    recipe, workspace, cohorts, student = make_run("phantom-classification")
    found = calibrate(workspace, recipe.name, cohorts, student)
    cohort = open_pictures(cohorts, "teacher_validation", workspace.store, recipe.task)
    logits = predict_logits(load_network(workspace, student), cohort.images).double().numpy()
    probability, labels = softmax(logits, axis=1)[:, 1], cohort.labels.numpy()
    assert (found.subset, found.patients, found.cases, found.samples) == ("teacher_validation", 60, 60, 60)
    assert (found.weights_digest, found.cohort_digest) == (student.weights_digest, cohorts.uses["teacher_validation"].cohort.sha256)
    by_measure = expected_calibration_error(torch.from_numpy(probability), cohort.labels)
    assert found.ece_before.mean == pytest.approx(float(by_measure), abs=1e-9)
    by_hand = bound_missed([probability[[row]] for row in np.flatnonzero(labels == 1)], probability[labels == 0], unit="positive")
    assert found.bound.model_dump() == pytest.approx(by_hand.model_dump())
    assert found.bound.patients == int(labels.sum())
    assert found.nll_after <= found.nll_before
    with Image.open(workspace.store.path(found.picture)) as picture:
        assert picture.format == "PNG"
    assert calibrate.__wrapped__(workspace, recipe.name, cohorts, student) == found


def test_a_segmentations_lesions_are_found_by_their_highest_voxel(make_run):
    recipe, workspace, cohorts, student = make_run("phantom-segmentation")
    found = calibrate(workspace, recipe.name, cohorts, student)
    cohort = open_pictures(cohorts, "teacher_validation", workspace.store, recipe.task)
    probability = softmax(predict_logits(load_network(workspace, student), cohort.images).double().numpy(), axis=1)[:, 1]
    scores = []
    for row in range(len(cohort)):
        lesions, count = ndimage.label(cohort.masks[row].numpy() > 0, structure=np.ones((3, 3)))
        scores.append(np.array([probability[row][lesions == index].max() for index in range(1, count + 1)]))
    by_hand = bound_missed(scores, np.zeros(1), unit="lesion")
    assert (found.bound.threshold, found.bound.missed) == pytest.approx((by_hand.threshold, by_hand.missed))
    assert (found.bound.unit, found.bound.patients, found.bound.units) == ("lesion", by_hand.patients, by_hand.units)
    assert found.samples == 24 * (ask_validation.MOST_VOXELS // 24)
    assert calibrate.__wrapped__(workspace, recipe.name, cohorts, student) == found


def test_volumes_are_judged_on_the_voxels_they_were_imported_with(make_run):
    recipe, workspace, cohorts, student = make_run("few_labels_3d")
    found = calibrate(workspace, recipe.name, cohorts, student)
    assert (found.subset, found.patients, found.method) == ("student_validation", 10, "none")
    assert found.reason == "10 validation patients are fewer than 20"
    volumes, model, scores = (
        open_volume_use(cohorts, "student_validation", workspace.store, recipe.task),
        load_network(workspace, student),
        [],
    )
    for row in range(len(volumes)):
        probability = softmax(volume_logits(model, volumes, row, recipe.task).double().numpy(), axis=0)[1:].sum(0)
        lesions, count = ndimage.label(volumes.references[row].numpy() > 0, structure=np.ones((3, 3, 3)))
        scores.append(np.array([probability[lesions == index].max() for index in range(1, count + 1)]))
    assert found.bound.threshold == pytest.approx(bound_missed(scores, np.zeros(1), unit="lesion").threshold)


def test_what_is_asked_is_bounded_and_whole_patients_are_drawn(make_run, monkeypatch):
    recipe, workspace, cohorts, student = make_run("phantom-classification")
    monkeypatch.setattr(ask_validation, "MOST_CASES", 25)
    found = calibrate.__wrapped__(workspace, recipe.name, cohorts, student)
    assert (found.patients, found.cases) == (25, 25)
    cases = [SimpleNamespace(patient_key=f"p{row // 3}") for row in range(60)]
    rows = ask_validation._drawn([True] * 60, cases).tolist()
    assert len(rows) == 24
    assert rows == sorted(rows)
    assert all(sum(row // 3 == patient for row in rows) in (0, 3) for patient in range(20))


def test_test_patients_are_never_calibrated_on(make_run):
    recipe, workspace, cohorts, student = make_run("phantom-classification")
    use = cohorts.uses["teacher_validation"]
    copy = read_cohort(use.cohort, workspace.store).model_copy(update={"name": "copy"})
    path = copy.write(workspace.store.root / "copy.json")
    shared = cohorts.model_copy(
        update={"uses": {**cohorts.uses, "debiased": CohortUse(cohort=workspace.store.refer(path.name), part=Part.VALIDATION)}}
    )
    with pytest.raises(LeakageError, match=r"expected validation patients that are not tested, .* are both") as caught:
        calibrate(workspace, recipe.name, shared, student)
    assert caught.value.code == "CALIBRATION_ON_TEST_PATIENTS"


def test_without_validation_cases_there_is_no_call_and_no_calibration(make_run):
    recipe, workspace, cohorts, student = make_run("phantom-classification")
    without = cohorts.only("test", "student_train/0")
    same = cohorts.model_copy(update={"uses": {"teacher_validation": cohorts.uses["test"], "test": cohorts.uses["test"]}})
    assert (calibration_subset(without), calibration_subset(same)) == (None, None)
    assert calibration_calls(workspace, RecipeResult(recipe, without, students=(student,))) == []
    assert calibration_calls(workspace, RecipeResult(recipe, cohorts, students=(student,))) == [(workspace, recipe.name, cohorts, student)]
    with pytest.raises(DataError, match="none are held back"):
        calibrate(workspace, recipe.name, without, student)


def test_what_cannot_be_fitted_is_said_and_ends_no_run(make_run):
    recipe, workspace, cohorts, student = make_run("phantom-classification")
    broken = {
        name: value * float("nan") if value.is_floating_point() else value
        for name, value in load_network(workspace, student).state_dict().items()
    }
    weights = workspace.store.write_tensors("models/nan.safetensors", broken)
    diverged = student.model_copy(update={"weights": weights, "weights_digest": weights.sha256})
    found = calibrate(workspace, recipe.name, cohorts, diverged)
    assert (found.method, found.scales, found.picture, found.bound.threshold) == ("none", (1.0, 1.0), None, None)
    assert found.reason == found.bound.reason == "expected finite logits of every validation case, the network gives others"


def test_a_version_carries_its_calibration_and_its_card_says_it(make_run):
    recipe, workspace, cohorts, student = make_run("phantom-classification")
    calibration = calibrate(workspace, recipe.name, cohorts, student)
    card = Scorecard(
        subject=f"{recipe.name}/alone",
        role="student",
        cohort_digest=cohorts.digest(),
        weights_digests=(student.weights_digest,),
        seeds=(0,),
        figures={},
    )
    registry, result = MemoryRegistry(), RecipeResult(recipe, cohorts, students=(student,), scorecards=(card,))
    (model,) = register_models(workspace, replace(result, calibrations=(calibration,)), registry).models
    folder = registry.fetch(model.uri)[1]
    assert load_record(folder / CALIBRATION, Calibration) == calibration == load_calibrated(registry, model.uri)[3]
    assert (folder / RELIABILITY).read_bytes() == workspace.store.path(calibration.picture).read_bytes()
    assert load_record(folder / "card.json", ModelCard).calibration == calibration.summary()
    (plain,) = register_models(workspace, result, registry).models
    assert plain.version == 2
    assert load_calibrated(registry, plain.uri)[3] is None
