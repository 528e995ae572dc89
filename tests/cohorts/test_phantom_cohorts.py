from __future__ import annotations

from pathlib import Path

import pytest
import torch

import flows
from data_contracts import Cohort, Part, read_record
from medkd.cohorts.open_cohort import open_volume_use
from medkd.cohorts.phantom_cohorts import prepare_phantom_cohorts
from medkd.cohorts.tensor_cohort import open_use
from medkd.cohorts.volume_cohort import concatenate_volumes
from medkd.phantom.render import draw_cases, render_volume
from medkd.storage.store import Store
from medkd.training.recipes import read_recipe

RECIPES = Path(flows.__file__).parent / "recipes"
SMALL = {
    "data.teacher": 32,
    "data.teacher_validation": 16,
    "data.student": 24,
    "data.test": 16,
    "data.debiased": 40,
    "data.reversed": 16,
    "data.marker_pairs": 8,
    "seeds": [0, 1],
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    recipe = read_recipe(RECIPES / "phantom-classification.yaml", SMALL)
    store = Store(tmp_path_factory.mktemp("cohorts"), "run")
    return recipe, store, prepare_phantom_cohorts(recipe, recipe.data, store)


def test_every_purpose_has_its_cohort_marked_as_phantom(prepared):
    _, store, cohorts = prepared
    assert set(cohorts.uses) == {
        "teacher_train",
        "teacher_validation",
        "student_train/0",
        "student_train/1",
        "test",
        "debiased",
        "reversed",
        "marker_pairs",
    }
    for use in cohorts.uses.values():
        assert read_record(store.path(use.cohort).read_bytes(), Cohort).origin == "phantom-direct"
    assert all(certificate.clean for certificate in cohorts.certificates)


def test_the_biases_are_the_recipes(prepared):
    recipe, store, cohorts = prepared
    same, reverse = (open_use(cohorts, subset, store, recipe.task) for subset in ("test", "reversed"))
    assert float((same.markers == (same.labels == 1)).float().mean()) > 0.7
    assert float((reverse.markers == (reverse.labels == 1)).float().mean()) < 0.3


def test_marker_pairs_differ_in_the_marker_alone(prepared):
    recipe, store, cohorts = prepared
    pairs = open_use(cohorts, "marker_pairs", store, recipe.task)
    assert len(pairs) == 16
    assert pairs.markers.tolist() == [True, False] * 8
    assert torch.equal(pairs.images[0::2, :, 12:], pairs.images[1::2, :, 12:])
    assert [c.patient_key for c in pairs.cases[0::2]] == [c.patient_key for c in pairs.cases[1::2]]


def test_no_two_cohorts_share_a_patient_or_a_picture(prepared):
    recipe, store, cohorts = prepared
    seen: dict[str, str] = {}
    for subset in cohorts.uses:
        for case in open_use(cohorts, subset, store, recipe.task).cases:
            for key in (case.patient_key, case.pixel_sha256):
                assert seen.setdefault(key, subset) == subset
    assert cohorts.uses["teacher_train"].part is Part.TRAIN


def test_a_cue_gives_three_tests_of_the_same_cases_and_a_balanced_teacher(tmp_path):
    changes = {"data.teacher": 60, "data.teacher_validation": 8, "data.student": 12, "data.unlabelled": 8, "data.test": 10, "seeds": [0]}
    recipe = read_recipe(
        RECIPES / "phantom-segmentation.yaml", {**changes, "data.cue": "ring", "data.student_validation": 9, "data.cohort_seed": 77}
    )
    store = Store(tmp_path, "run")
    cohorts = prepare_phantom_cohorts(recipe, recipe.data, store)
    opened = {p: open_use(cohorts, p, store, recipe.task) for p in ("test", "uncued", "misplaced", "student_validation", "unlabelled/0")}
    assert len(opened["student_validation"]) == 9
    assert torch.equal(opened["test"].masks, opened["uncued"].masks)
    assert torch.equal(opened["test"].masks, opened["misplaced"].masks)
    cued = (opened["test"].images != opened["uncued"].images).flatten(1).any(1)
    assert bool(cued.all())
    assert not bool(opened["unlabelled/0"].has_mask.any())
    regions = store.read_tensors(read_record((store.root / cohorts.uses["misplaced"].cohort.key).read_bytes(), Cohort).cases[0].image)
    changed = (opened["misplaced"].images != opened["uncued"].images)[:, 0]
    assert bool((regions["cues"].bool() & changed).flatten(1).any(1).all())
    teacher = store.read_tensors(read_record((store.root / cohorts.uses["teacher_train"].cohort.key).read_bytes(), Cohort).cases[0].image)
    share = float(teacher["cues"].flatten(1).any(1).float().mean())
    assert 0.45 < share < 0.85


def test_a_share_of_masks_and_of_wrong_labels_is_spread_over_both_classes(tmp_path):
    recipe = read_recipe(
        RECIPES / "phantom-classification.yaml",
        {**SMALL, "data.mask_share": 0.25, "data.teacher_wrong_labels": 0.5, "data.cohort_seed": 78},
    )
    store = Store(tmp_path, "run")
    cohorts = prepare_phantom_cohorts(recipe, recipe.data, store)
    student, teacher, held = (open_use(cohorts, p, store, recipe.task) for p in ("student_train/0", "teacher_train", "teacher_validation"))
    assert student.has_mask.sum() == 6
    assert sorted(student.labels[student.has_mask].tolist()) == [0, 0, 0, 1, 1, 1]
    truth = torch.arange(len(teacher)) % 2
    assert float((teacher.labels != truth).float().mean()) == 0.5
    assert teacher.labels.float().mean() == 0.5
    assert torch.equal(held.labels, torch.arange(len(held)) % 2)


def test_a_task_of_volumes_gets_whole_phantoms_with_their_spacing(tmp_path):
    changes = {
        "data.teacher": 8, "data.teacher_validation": 8, "data.student": 8, "data.student_validation": 8, "data.unlabelled": 8,
        "data.test": 8, "seeds": [0],
    }  # fmt: skip
    recipe = read_recipe(RECIPES / "few_labels_3d.yaml", changes)
    store = Store(tmp_path, "run")
    cohorts = prepare_phantom_cohorts(recipe, recipe.data, store)
    volumes, extra = (open_volume_use(cohorts, subset, store, recipe.task) for subset in ("test", "unlabelled/0"))
    assert [tuple(image.shape) for image in volumes.images] == [(1, 12, 64, 64)] * 8
    assert volumes.spacing_mm(0) == pytest.approx((4.0, 3.0, 3.0))
    cases = draw_cases(8, recipe.data.cohort_seed + 2)
    _, mask = render_volume(cases, 3)
    # Rows run backwards and columns to the left in the stored file; a network sees the volume turned to one orientation.
    assert int((volumes.labels[3] > 0).sum()) == int(mask.sum()) > 0
    assert float(volumes.images[3].max()) <= 1
    both = concatenate_volumes(volumes, extra)
    assert len(both) == 16
    assert both.has_label == (True,) * 8 + (False,) * 8
    sample = both.draw(torch.tensor([1, 12]), recipe.task, recipe.student.fit, torch.Generator().manual_seed(0))
    assert bool((sample.labels[0] >= 0).all())
    assert bool((sample.labels[1] == -1).all())
