"""Regions reach the network's grid by the geometry that labels reach it by, and augmentation moves them along."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import Case, DataError, DirectedRegion, FeedbackDirectives, Ref, StudyDirective, Task, TrainingConfig
from medkd.cohorts.follow_directives import directive_of, reviewed, taught_by, with_directives
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.volumes.augment import draw_view
from medkd.volumes.letterbox import letterbox_mask
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import align
from medkd.volumes.voxel_masks import mask_of

REF = Ref(store="s", key="k", sha256="a" * 64)
VOLUMES = Task(kind="segmentation", classes=("background", "a"), image_size=(6, 8, 8), intensity="standardised", spacing_mm=(2.0, 2.0, 2.0))
PICTURES = Task(kind="classification", classes=("a", "b"), image_size=(16, 16))


def said(case, patient=None, *, part="train", voxels=None, factor=1.0, meaning="forbidden", weight=1.0):
    regions = () if voxels is None else (DirectedRegion(meaning=meaning, voxels=mask_of(voxels), factor=factor),)
    return StudyDirective(
        study_key=f"st-{case}", case_key=case, patient_key=patient or f"p-{case}", part=part, explanation_weight=0.0,
        prediction_weight=weight, regions=regions,
    )  # fmt: skip


def directives(*studies):
    return FeedbackDirectives(log_head="a" * 64, entries=1, used=(), studies=studies)


def pictures(*keys):
    n = len(keys)
    cases = tuple(Case(case_key=key, patient_key=f"p-{key.partition('.')[0]}", image=REF, label=0) for key in keys)
    images = torch.rand(n, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    flat = torch.zeros(n, 16, 16, dtype=torch.uint8)
    true = torch.ones(n, dtype=torch.bool)
    return TensorCohort(cases, images, torch.zeros(n, dtype=torch.int64), flat, true, flat == 0, ~true)


def volumes(affine, shape):
    """Return a cohort of one volume on a grid, its label a corner that nothing mirrors onto itself."""
    label = np.zeros(shape, dtype=np.uint8)
    label[1:4, 2:5, 1:3] = 1
    alignment = align(Grid(shape, affine), VOLUMES)
    image = alignment.to_network(torch.rand(shape))[None]
    case = Case(case_key="s1", patient_key="p-s1", image=REF, mask=REF)
    kept = torch.from_numpy(label)
    return label, VolumeCohort((case,), (image,), (alignment.labels_to_network(kept),), (True,), (alignment,), (kept,), (None,))


def mirrored(*signs):
    """Return an affine (slice, row, column) to LPS mm with spacing (3, 2, 1) and mirrored axes, columns and rows swapped."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = 3.0 * signs[0], 2.0 * signs[1], 1.0 * signs[2], 1.0
    return affine


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1)])
def test_a_region_lies_where_a_label_of_the_same_voxels_does(signs):
    label, cohort = volumes(mirrored(*signs), (6, 9, 12))
    found = with_directives(cohort, directives(said("s1", voxels=label > 0)))
    assert torch.equal(found.directives.forbidden[0] == 100, found.labels[0] == 1)
    generator = torch.Generator().manual_seed(3)
    for _ in range(8):
        sample = found.draw(torch.tensor([0]), VOLUMES, TrainingConfig(epochs=1), generator)
        assert torch.equal(sample.forbidden == 100, sample.labels == 1)
        moved = draw_view(sample, "affine", generator)
        assert torch.equal(moved.forbidden == 100, moved.labels == 1)
    patch = found.as_tensors(VOLUMES, centre="label")
    assert torch.equal(patch.directives.forbidden[0] == 100, patch.masks[0] == 1)


def test_a_region_of_a_picture_is_brought_to_size_as_its_mask_was():
    voxels = np.zeros((1, 40, 30), dtype=bool)
    voxels[0, 5:20, 3:11] = True
    found = with_directives(pictures("s1"), directives(said("s1", voxels=voxels, factor=0.5)))
    assert np.array_equal(found.directives.forbidden[0].numpy(), 50 * letterbox_mask(voxels[0], (16, 16)))


@pytest.mark.parametrize("kind", ["flip", "affine"])
def test_a_region_moves_with_its_picture(kind):
    voxels = np.zeros((1, 16, 16), dtype=bool)
    voxels[0, 2:9, 1:5] = True
    cohort = with_directives(pictures(*(f"s{n}" for n in range(6))), directives(*(said(f"s{n}", voxels=voxels) for n in range(6))))
    sample = cohort.draw(torch.arange(6), PICTURES, TrainingConfig(epochs=1), torch.Generator())
    # Masks are what is known to move rightly (tests/volumes): the same voxels as a mask must end at the same place.
    marked = type(sample)(**{**vars(sample), "masks": torch.from_numpy(voxels).expand(6, 16, 16).to(torch.uint8)})
    moved = draw_view(marked, kind, torch.Generator().manual_seed(1))
    assert torch.equal(moved.forbidden > 0, moved.masks > 0)
    assert not torch.equal(moved.forbidden, sample.forbidden)


def test_each_frame_of_a_picture_follows_its_own_slice_of_the_mask():
    voxels = np.zeros((2, 16, 16), dtype=bool)
    voxels[1, :4] = True
    found = with_directives(pictures("s1.0", "s1.1", "s2"), directives(said("s1", voxels=voxels, weight=0.0)))
    assert [int((one > 0).sum()) if one is not None else None for one in found.directives.forbidden] == [0, 64, None]
    assert found.directives.weights.tolist() == [0.0, 0.0, 1.0]
    assert directive_of(found.cases[2], {}) is None


def test_patients_that_judge_are_left_out_of_training_with_all_their_studies_and_are_there_to_be_measured():
    cohort = pictures("s1.0", "s1.1", "s2", "s3")
    directed = directives(said("s1", part="eval"), said("s2"))
    assert [case.case_key for case in taught_by(cohort, directed).cases] == ["s2", "s3"]
    assert taught_by(cohort, directed).directives.explanation_weights.tolist() == [0.0, 1.0]
    assert [case.case_key for case in reviewed(cohort, directed).cases] == ["s1.0", "s1.1", "s2"]
    assert reviewed(pictures("s9"), directed) is None


def test_a_region_on_another_grid_and_a_cohort_that_only_judges_are_refused():
    voxels = np.ones((3, 4, 4), dtype=bool)
    with pytest.raises(DataError, match="s1") as caught:
        with_directives(volumes(mirrored(1, 1, 1), (6, 9, 12))[1], directives(said("s1", voxels=voxels)))
    assert caught.value.code == "FEEDBACK_GRID"
    with pytest.raises(DataError) as caught:
        taught_by(pictures("s1"), directives(said("s1", part="eval")))
    assert caught.value.code == "FEEDBACK_LEAVES_NOTHING"
