"""What forms answer about test cases is what evaluation says of the same network."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from data_contracts import CohortSet, CohortUse, NetworkSpec, Part, Subset, Task
from medkd.cohorts.open_cohort import open_pictures
from medkd.compression.answer_cases import answer_form, map_cohort
from medkd.compression.training_images import figure_on, training_images
from medkd.evaluation.evaluate import evaluate_model, map_subset
from medkd.measures.expected_calibration_error import expected_calibration_error
from tests.compression.made import own_form


def test_probabilities_calibration_and_maps_are_those_of_the_network(workspace, recipe, cohorts, student, teacher):
    answers = answer_form(workspace, own_form(workspace, cohorts, student, "onnx"), cohorts, None)
    arrays = workspace.store.read_tensors(answers.arrays)
    evaluated = workspace.store.read_tensors(evaluate_model(workspace, recipe.name, cohorts, student, teacher).arrays)
    subset = map_subset(cohorts)
    torch.testing.assert_close(arrays["task"], evaluated[f"{subset}/probability"], atol=1e-4, rtol=0)
    labels = open_pictures(cohorts, subset, workspace.store, recipe.task).labels
    assert answers.labels == tuple(labels.tolist())
    expected = expected_calibration_error(arrays["task"], labels)
    assert float(arrays["gaps"].sum(0).abs().sum() / arrays["counts"].sum()) == pytest.approx(float(expected))
    maps = workspace.store.read_tensors(answers.maps)
    assert maps["maps"].shape == (len(labels), 2, *recipe.task.image_size)
    assert maps["answers"].tolist() == (arrays["task"] > 0.5).long().tolist()


def test_fewer_cases_are_the_first_of_them(workspace, cohorts, student):
    form = own_form(workspace, cohorts, student, "onnx")
    few, all_of_them = answer_form(workspace, form, cohorts, 5), answer_form(workspace, form, cohorts, None)
    assert few.patients == all_of_them.patients[:5]


@pytest.fixture(scope="module")
def segmented(tmp_path_factory):
    """Return a workspace, a cohort set of four volumes with a box each, and an untrained network of such volumes."""
    from data_contracts import Case, Checkpoint, Cohort, Role, Split
    from medkd.models._build import build_network
    from medkd.storage.workspace import local_workspace

    workspace = local_workspace(tmp_path_factory.mktemp("volumes"))
    task = Task(kind="segmentation", classes=("background", "a", "b"), image_size=(8, 16, 16), intensity="standardised")
    cases = []
    for row in range(4):
        label = torch.zeros(10, 20, 20, dtype=torch.uint8)
        label[2:6, 4 + row : 12 + row, 5:12] = 1
        label[6:8, 4:9, 5:12] = 2
        image = torch.randn(10, 20, 20, generator=torch.Generator().manual_seed(row)) + 3 * label
        ref = workspace.store.write_tensors(
            f"case{row}", {"image": image, "label": label, "affine_lps_mm": torch.eye(4, dtype=torch.double)}
        )
        cases.append(Case(case_key=f"c{row}", patient_key=f"p{row}", image=ref, mask=ref))
    parts = {Part.TRAIN: ("c0", "c1"), Part.TEST: ("c2", "c3")}
    cohort = Cohort(name="v", origin="test", classes=task.classes, cases=tuple(cases), split=Split(parts=parts))
    place = cohort.write(workspace.store.root / "v.json").name
    uses = {
        subset: CohortUse(cohort=workspace.store.refer(place), part=part)
        for subset, part in ((Subset.TEST, Part.TEST), (Subset.STUDENT_TRAIN.of(0), Part.TRAIN))
    }
    spec = NetworkSpec(builder="unet", spatial_dims=3, out_channels=3, options={"channels": (4, 8, 8)})
    weights = workspace.store.write_tensors("weights", build_network(spec, seed=1).state_dict())
    checkpoint = Checkpoint(
        role=Role.STUDENT, arm="kd", seed=0, network=spec, task=task, weights=weights, weights_digest=weights.sha256, cohort_digest=cohort.digest(),
        recipe_digest="d" * 64, parameters=1, epochs=1,
    )  # fmt: skip
    return workspace, CohortSet(uses=uses, certificates=()), checkpoint


def test_volumes_are_scored_on_their_own_voxels_as_evaluation_scores_them(segmented):
    from medkd.cohorts.open_cohort import open_volume_use
    from medkd.evaluation.evaluate_volumes import evaluate_volumes
    from medkd.models._load import load_network

    workspace, cohorts, checkpoint = segmented
    network = load_network(workspace, checkpoint)
    volumes = open_volume_use(cohorts, Subset.TEST, workspace.store, checkpoint.task)
    expected = evaluate_volumes(network, network, volumes, checkpoint.task)["test/dice"]
    for runtime in ("torch", "openvino"):
        answers = answer_form(workspace, own_form(workspace, cohorts, checkpoint, runtime), cohorts, None)
        arrays = workspace.store.read_tensors(answers.arrays)
        torch.testing.assert_close(arrays["task"], expected, atol=1e-3, rtol=0)
        assert answers.patients == ("p2", "p3")
        assert answers.figure == "dice"
        marked = [(reference > 0).sum().item() for reference in volumes.references]
        assert all(count >= least for count, least in zip(arrays["counts"].tolist(), marked, strict=True))
        maps = workspace.store.read_tensors(answers.maps)
        assert maps["maps"].shape == (2, 3, *checkpoint.task.image_size)


def test_of_a_patch_that_is_larger_than_its_volume_the_rest_is_neither_answer_nor_map(segmented):
    workspace, cohorts, checkpoint = segmented
    wide = checkpoint.model_copy(update={"task": checkpoint.task.model_copy(update={"image_size": (16, 32, 32)})})
    answers = answer_form(workspace, own_form(workspace, cohorts, wide, "torch"), cohorts, None)
    kept, shown = workspace.store.read_tensors(answers.maps), map_cohort(cohorts, workspace.store, wide.task, torch.arange(2))
    assert 0 < int(shown.valid[0].sum()) < shown.valid[0].numel()
    for case, valid in enumerate(shown.valid):
        assert not kept["answers"][case][~valid].any()
        assert not kept["maps"][case][:, ~valid].any()
        assert kept["maps"][case][:, valid].any()
    # A form that marks all of the padding, and in the volume what is right, makes no mistake.
    training = training_images(cohorts, 0, workspace.store, wide.task, 2)
    everything = torch.nn.functional.one_hot(torch.from_numpy((training.labels > 0) | ~training.valid).long(), 2).movedim(-1, 1)
    assert figure_on(training, wide.task)(SimpleNamespace(ask=lambda _: (everything.numpy(), None))) == 1.0
