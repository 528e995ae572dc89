"""What is kept of each case, on cohorts small enough to be counted by hand."""

from __future__ import annotations

import pytest
import torch

from data_contracts import Case, Cohort, CohortSet, CohortUse, Evaluation, Part, Split, Task
from medkd.evaluation.case_results import case_results, case_units, collect_case_results
from medkd.storage.workspace import local_workspace

PICTURES = Task(kind="classification", classes=("a", "b"), image_size=(4, 4), window=(0.0, 1.0))
VOLUMES = Task(kind="segmentation", classes=("background", "a", "b"), image_size=(4, 4, 4), window=(0.0, 1.0))


@pytest.fixture
def workspace(tmp_path):
    return local_workspace(tmp_path)


def use_of(workspace, name, cases, classes, part=Part.TEST):
    split = Split(parts={part: tuple(case.case_key for case in cases)})
    Cohort(name=name, origin="test", classes=classes, cases=cases, split=split).write(workspace.store.root / f"{name}.json")
    return CohortUse(cohort=workspace.store.refer(f"{name}.json"), part=part)


@pytest.fixture
def pictures(workspace):
    """Return a set whose test has a picture with five marked pixels, one that nobody marked, and one of which nothing is marked."""
    masks = torch.zeros(3, 4, 4, dtype=torch.uint8)
    masks[0, 1, :] = 1
    masks[0, 2, 0] = 1
    masks[1] = 1  # of a case without a mask: it says nothing
    shard = workspace.store.write_tensors("p.safetensors", {"images": torch.zeros(3, 4, 4), "masks": masks})
    cases = (
        Case(case_key="c0", patient_key="p0", image=shard, mask=shard, label=1, attributes={"device": "A"}),
        Case(case_key="c1", patient_key="p0", image=shard, label=None, attributes={"side": "left"}),
        Case(case_key="c2", patient_key="p1", image=shard, mask=shard, label=0),
    )
    train = use_of(workspace, "train", (Case(case_key="t", patient_key="q", image=shard),), PICTURES.classes, Part.TRAIN)
    return CohortSet(uses={"test": use_of(workspace, "test", cases, PICTURES.classes), "student_train/0": train}, certificates=())


@pytest.fixture
def evaluation(workspace):
    """Return a maker of evaluations, by arm."""

    def make(arm):
        arrays = {"test/dice": torch.tensor([0.25, float("nan"), 1.0]), "test/agreement": torch.tensor([1.0])}
        return Evaluation(
            arm=arm, role="student", seed=3, weights_digest="1" * 64, parameters=1, latency_ms=1.0, train_seconds=1.0,
            arrays=workspace.store.write_tensors(f"{arm}.safetensors", arrays),
        )  # fmt: skip

    return make


def test_a_picture_has_its_patient_its_class_its_subgroup_and_as_many_voxels_as_are_marked(workspace, pictures):
    ((name, units),) = case_units(workspace.store, pictures, PICTURES).items()
    assert name == "test"  # what is trained on is no test
    assert units.case_keys == ("c0", "c1", "c2")
    assert units.patient_keys == ("p0", "p0", "p1")
    assert units.labels == (1, None, 0)
    assert units.lesion_voxels == (5, None, 0)
    assert units.attributes == {"device": ("A", "", ""), "side": ("", "left", "")}


def test_a_volume_is_counted_on_the_voxels_it_was_imported_with(workspace):
    """It is resampled for the network to half the spacing, which makes eight voxels of one."""
    label = torch.zeros(6, 6, 6, dtype=torch.uint8)
    label[1, 1, 1:3], label[4, 4, 4] = 1, 2
    cases = []
    for key, extra in (("c0", {"label": label}), ("c1", {})):
        arrays = {"image": torch.zeros(6, 6, 6), "affine_lps_mm": torch.diag(torch.tensor([2.0, 2, 2, 1])).double(), **extra}
        shard = workspace.store.write_tensors(f"{key}.safetensors", arrays)
        cases.append(Case(case_key=key, patient_key=key, image=shard, mask=shard if extra else None))
    cohorts = CohortSet(uses={"test": use_of(workspace, "v", tuple(cases), VOLUMES.classes)}, certificates=())
    task = VOLUMES.model_copy(update={"spacing_mm": (1.0, 1.0, 1.0)})
    assert case_units(workspace.store, cohorts, task)["test"].lesion_voxels == (3, None)


def test_what_is_undefined_is_none_and_the_cohort_is_named_by_its_digest(workspace, pictures, evaluation):
    units = case_units(workspace.store, pictures, PICTURES)
    found = case_results(workspace, "recipe", pictures, units, evaluation("kd"))
    assert found.values == {"test/agreement": (1.0,), "test/dice": (0.25, None, 1.0)}
    assert found.cohorts == {"test": pictures.uses["test"].cohort.sha256}
    assert (found.subject, found.seed, found.weights_digest) == ("recipe/kd", 3, "1" * 64)


def test_all_networks_of_a_recipe_are_of_the_same_cases(workspace, pictures, evaluation):
    found = collect_case_results(workspace, "recipe", pictures, PICTURES, (evaluation("teacher"), evaluation("kd")))
    assert [one.subject for one in found] == ["recipe/teacher", "recipe/kd"]
    assert found[0].units == found[1].units == case_units(workspace.store, pictures, PICTURES)
