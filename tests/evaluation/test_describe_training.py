"""The stage on cohorts small enough to be asked again by hand: pictures that are classified, pictures and volumes that are segmented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

import flows
from data_contracts import Checkpoint, Entry, ExplanationRequest, Geometry, ModelRef, NetworkSpec, Subset, TaskKind, VolumeRef
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.prepare import prepare_cohorts
from medkd.cohorts.shards import read_volume
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.evaluation import describe_training as module
from medkd.evaluation.describe_training import MOST_COMPONENTS, describe_training
from medkd.explanation.explain_study import LoadedModel, StudyImages, explain_study
from medkd.inference.components import SMALLEST_VOXELS
from medkd.inference.nearest_cases import ComparedFinding, similar_cases
from medkd.inference.pooled_features import patch_round, pooled_features
from medkd.inference.predict import predict_logits, predict_volume
from medkd.models._build import build_network
from medkd.models._load import load_network
from medkd.registry.training_features import read_training_cases
from medkd.review.caveats import compute_caveats
from medkd.review.compose_report import compare_with_training
from medkd.storage.workspace import local_workspace
from medkd.trace import layer_map_of
from medkd.training.recipes import read_recipe

CASES = {"data.teacher": 8, "data.student": 12, "data.test": 8, "seeds": [0]}
PICTURES = {"data.debiased": 8, "data.reversed": 8, "data.marker_pairs": 8, "data.teacher_validation": 8}
RUNS = {
    "phantom-classification": {**CASES, **PICTURES, "student.network.options.channels": [4, 4, 4, 4]},
    "phantom-segmentation": {**CASES, "data.teacher_validation": 8, "data.unlabelled": 6, "student.network.options.channels": [4, 8, 8]},
    "few_labels_3d": {**CASES, "data.teacher_validation": 8, "data.student_validation": 8, "data.unlabelled": 4},
}
OWN, UNLABELLED = Subset.STUDENT_TRAIN.of(0), Subset.UNLABELLED.of(0)


def answering(spec, image):
    """Return a network that outlines about a fifth of an image: an untrained one often outlines nothing."""
    network = build_network(spec, seed=3)
    head = network.get_submodule(layer_map_of(network).head)
    if head.bias is not None:
        with torch.no_grad():
            margin = network.eval()(image).diff(dim=1)
            head.bias[1] -= float(margin.quantile(0.8)) if margin.numel() < 1e6 else 0.0
    return network


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
            image = open_pictures(cohorts, OWN, workspace.store, recipe.task).images[:2]
            weights = workspace.store.write_tensors("models/x.safetensors", answering(spec, image).state_dict())
            student = Checkpoint(
                role="student", arm="alone", seed=0, network=spec, task=recipe.task, weights=weights, weights_digest=weights.sha256,
                cohort_digest=cohorts.digest(), recipe_digest="d" * 64, parameters=1, epochs=1,
            )  # fmt: skip
            made[name] = recipe, workspace, cohorts, student
        return made[name]

    return make


def described(run, *subsets):
    recipe, workspace, cohorts, student = run
    record = describe_training(workspace, recipe.name, cohorts, student, subsets or (OWN,))
    return record, read_training_cases(record, workspace.store.path(record.array), where="x")


def test_of_a_classifier_every_training_case_is_kept_with_its_label(make_run):
    recipe, workspace, cohorts, student = run = make_run("phantom-classification")
    record, cases = described(run)
    opened = open_pictures(cohorts, OWN, workspace.store, recipe.task)
    assert [(one.case_key, one.patient_key) for one in record.items] == [(case.case_key, case.patient_key) for case in opened.cases]
    assert [one.label for one in record.items] == [recipe.task.classes[label] for label in opened.labels.tolist()]
    assert (record.cases, record.kind, record.pooling, record.layer) == (12, TaskKind.CLASSIFICATION, "mean", "layer4")
    assert (record.weights_digest, record.cohort_digest) == (student.weights_digest, cohorts.digest())
    np.testing.assert_allclose(
        cases.features, pooled_features(load_network(workspace, student), opened.images)[0].numpy(), rtol=1e-5, atol=1e-6
    )
    assert set(record.quantiles) == {"50", "90", "95", "99"}


def test_of_a_segmenter_every_component_that_it_outlines_is_kept(make_run):
    recipe, workspace, cohorts, student = run = make_run("phantom-segmentation")
    record, _ = described(run, OWN, UNLABELLED)
    network = load_network(workspace, student)
    expected = []
    for subset in (OWN, UNLABELLED):
        opened = open_pictures(cohorts, subset, workspace.store, recipe.task)
        for case, marked in zip(opened.cases, predict_logits(network, opened.images).argmax(1).numpy(), strict=True):
            labelled, count = ndimage.label(marked == 1, structure=np.ones((3, 3)))
            sizes = sorted((int((labelled == index).sum()) for index in range(1, count + 1)), reverse=True)
            expected += [(case.case_key, "lesion", size) for size in sizes if size >= SMALLEST_VOXELS][:MOST_COMPONENTS] if count else []
    assert [(one.case_key, one.label, one.voxels) for one in record.items] == expected
    assert (record.cases, len(record.items) > 10, record.pooling) == (18, True, "mask")
    assert all(one.volume_ml is None for one in record.items), "no spacing is known of a drawn picture"


def test_of_volumes_a_component_has_its_millilitres_and_the_patch_round_it(make_run):
    recipe, workspace, cohorts, student = run = make_run("few_labels_3d")
    record, cases = described(run)
    volumes, network = open_volume_use(cohorts, OWN, workspace.store, recipe.task), load_network(workspace, student)
    first = record.items[0]
    row = next(place for place, case in enumerate(volumes.cases) if case.case_key == first.case_key)
    marked = predict_volume(network, volumes.images[row], recipe.task).argmax(0).numpy() == 1
    labelled, count = ndimage.label(marked, structure=np.ones((3, 3, 3)))
    largest = max(range(1, count + 1), key=lambda index: int((labelled == index).sum()))
    mask = torch.from_numpy((labelled == largest).astype(np.uint8))
    spacing = np.prod(volumes.alignments[row].network.spacing_mm)
    assert (first.voxels, first.volume_ml) == (int(mask.sum()), pytest.approx(int(mask.sum()) * spacing / 1000))
    image, inside = patch_round(volumes.images[row], mask, recipe.task.image_size)
    np.testing.assert_allclose(cases.features[0], pooled_features(network, image[None], inside[None])[0][0].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_a_training_case_asked_again_is_its_own_nearest(make_run, name):
    _, cases = described(make_run(name))
    for row, item in enumerate(cases.record.items):
        found = similar_cases(ComparedFinding(0, 1, item.label, item.patient_key, cases.features[row]), cases)
        assert (found.same_patient[0].case_key, found.same_patient[0].distance) == (item.case_key, 0.0)


def test_what_is_asked_is_bounded_and_whole_patients_are_drawn(make_run, monkeypatch):
    run = make_run("phantom-classification")
    monkeypatch.setattr(module, "MOST_CASES", 5)
    recipe, workspace, cohorts, student = run
    record = describe_training.__wrapped__(workspace, recipe.name, cohorts, student, (OWN,))
    assert record.cases == len(record.items) == 5
    everyone = [case.case_key for case in open_pictures(cohorts, OWN, workspace.store, recipe.task).cases]
    kept = [one.case_key for one in record.items]
    assert kept == [key for key in everyone if key in kept]
    monkeypatch.setattr(module, "MOST_CASES", 3)
    pairs = [type("C", (), {"patient_key": f"p{row // 2}"}) for row in range(10)]
    assert len(module._drawn(pairs)) == 2


def test_where_nothing_is_outlined_there_are_no_items(make_run):
    recipe, workspace, cohorts, student = make_run("phantom-segmentation")
    weights = load_network(workspace, student).state_dict()
    weights["head.bias"] = torch.tensor([1e3, -1e3])
    blind = workspace.store.write_tensors("models/blind.safetensors", weights)
    none = student.model_copy(update={"weights": blind, "weights_digest": blind.sha256})
    record, cases = described((recipe, workspace, cohorts, none))
    assert (record.items, record.cases, record.quantiles, len(cases.features)) == ((), 12, {}, 0)


def study_of(case, cohort, workspace, task):
    """Return voxels, grid and record of a training case as if it came in as a study."""
    if task.spatial_dims == 3:
        shard = read_volume(case, workspace.store)
        values, affine = shard.image, shard.affine_lps_mm.numpy()
    else:
        shard = workspace.store.read_tensors(case.image)
        rows = [one.case_key for one in cohort.cases if one.image == case.image]
        values, affine = shard["images"][rows.index(case.case_key)][None].float(), np.eye(4)
    spacing = tuple(float(step) for step in np.linalg.norm(affine[:3, :3], axis=0))
    geometry = Geometry(shape=tuple(values.shape), affine_lps_mm=tuple(map(tuple, affine.tolist())), spacing_mm=spacing, residual_mm=0.0)
    keys = {"patient_key": case.patient_key, "study_key": "t", "series_key": "s", "frame_of_reference_key": "f"}
    return values, VolumeRef(array=case.image, geometry=geometry, unit="HU", modality="CT", **keys)


@pytest.mark.parametrize("name", RUNS)
def test_a_training_case_that_comes_in_as_a_study_lies_at_its_own_place(make_run, name):
    """The way of a study and the way of a training case end at the same numbers: the twin is found, and named as the same patient's."""
    recipe, workspace, cohorts, student = run = make_run(name)
    _, cases = described(run)
    use = cohorts.uses[OWN]
    cohort = read_cohort(use.cohort, workspace.store)
    case = next(one for one in cohort.part(use.part) if one.case_key == cases.record.items[0].case_key)
    values, volume = study_of(case, cohort, workspace, recipe.task)
    model = ModelRef(name="m", version=1, manifest_digest="0" * 64, role="student", weights_digest=student.weights_digest)
    loaded = LoadedModel(model, student, load_network(workspace, student))
    made = explain_study(StudyImages(values, volume), loaded, ExplanationRequest(explainers=(Entry(name="saliency"),), most=1))
    kept = {key: array.numpy() for key, array in made.arrays.items()}
    (found,) = compare_with_training((made.record,), (kept,), (cases,))
    assert found.same_patient[0].case_key == case.case_key
    assert found.same_patient[0].distance < 1e-2 < found.cases[0].distance
    named = [caveat.code for caveat in compute_caveats((made.record,), (found,))]
    assert ("PATIENT_IN_TRAINING" in named, "FAR_FROM_TRAINING" in named) == (True, False)
