from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import Case, Ref, Task, TrainingConfig
from medkd.cohorts.volume_cohort import VolumeCohort, bring_intensity, corner_of, cut
from medkd.volumes.augment import draw_view
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import align

TASK = Task(kind="segmentation", classes=("background", "a"), image_size=(8, 8, 8), intensity="standardised")
REF = Ref(store="s", key="k", sha256="a" * 64)


def cohort(*shapes, labelled=True):
    images, labels = [], []
    for number, shape in enumerate(shapes):
        images.append(torch.randn(1, *shape, generator=torch.Generator().manual_seed(number)))
        label = torch.zeros(shape, dtype=torch.uint8)
        label[1, 2, 3] = 1
        labels.append(label)
    alignments = tuple(align(Grid(shape, np.diag([1.0, 1.0, 1.0, 1.0])), TASK) for shape in shapes)
    cases = tuple(
        Case(case_key=f"c{n}", patient_key=f"p{n}", image=REF, mask=REF if labelled else None, label=n % 2) for n in range(len(shapes))
    )
    return VolumeCohort(cases, tuple(images), tuple(labels), (labelled,) * len(shapes), alignments, tuple(labels), (None,) * len(shapes))


def drawn(volumes, share, seeds=60):
    config, rows = TrainingConfig(epochs=1, foreground_share=share), torch.zeros(1, dtype=torch.int64)
    return [volumes.draw(rows, TASK, config, torch.Generator().manual_seed(seed)) for seed in range(seeds)]


def test_oversampled_patches_hold_a_labelled_voxel():
    volumes = cohort((20, 22, 24))
    always, never = drawn(volumes, 1.0), drawn(volumes, 0.0)
    assert all(bool(sample.masks.any()) for sample in always)
    share = sum(bool(sample.masks.any()) for sample in never) / len(never)
    assert share < 0.3
    half = sum(bool(sample.masks.any()) for sample in drawn(volumes, 0.5)) / 60
    assert 0.3 < half < 0.85


def test_a_patch_is_a_piece_of_the_volume_with_its_label():
    volumes = cohort((20, 22, 24))
    for sample in drawn(volumes, 1.0, seeds=5):
        patch = sample.image[0, 0]
        windows = volumes.images[0][0].unfold(0, 8, 1).unfold(1, 8, 1).unfold(2, 8, 1)
        hits = (windows == patch).flatten(3).all(3).nonzero()
        assert len(hits) == 1
        z, y, x = hits[0].tolist()
        assert torch.equal(sample.labels[0], volumes.labels[0][z : z + 8, y : y + 8, x : x + 8].long())
        assert bool(sample.valid_mask.all())


def test_a_smaller_volume_is_padded_and_the_padding_is_marked():
    volumes = cohort((4, 20, 6))
    for sample in drawn(volumes, 0.5, seeds=8):
        assert int(sample.valid_mask.sum()) == 4 * 8 * 6
        assert bool((sample.labels[~sample.valid_mask] == -1).all())
        assert float(sample.image[0, 0][~sample.valid_mask[0]].max()) == float(volumes.images[0].min())


def test_an_unlabelled_volume_has_missing_labels():
    for sample in drawn(cohort((10, 10, 10), labelled=False), 1.0, seeds=3):
        assert bool((sample.labels == -1).all())


def test_one_patch_of_each_volume_in_its_middle_or_on_its_label():
    volumes = cohort((20, 22, 24), (4, 6, 30))
    middle, label = volumes.as_tensors(TASK), volumes.as_tensors(TASK, centre="label")
    assert middle.images.shape == label.images.shape == (2, 1, 8, 8, 8)
    assert torch.equal(middle.images[0, 0], volumes.images[0][0, 6:14, 7:15, 8:16])
    assert [int(m.sum()) for m in middle.masks] == [0, 0]
    assert [int(m.sum()) for m in label.masks] == [1, 1]
    assert int(label.valid[1].sum()) == 4 * 6 * 8
    assert label.labels.tolist() == [0, 1]


@pytest.mark.parametrize(("centre", "corner"), [([0, 5, 23], [0, 1, 16]), ([10, 10, 10], [6, 6, 6]), (None, [6, 7, 8])])
def test_a_patch_never_leaves_a_volume_that_is_large_enough(centre, corner):
    assert corner_of(centre, (8, 8, 8), (20, 22, 24)) == corner


def test_cutting_beyond_the_edge_fills():
    values = torch.arange(8).reshape(2, 2, 2)
    assert cut(values, [-1, 0, 1], (3, 2, 2), fill=-1).tolist() == [[[-1, -1], [-1, -1]], [[1, -1], [3, -1]], [[5, -1], [7, -1]]]


def test_intensities_are_standardised_without_their_extremes_or_windowed():
    values = torch.randn(10, 20, 20, generator=torch.Generator().manual_seed(0)) * 5 + 100
    spoilt = values.clone()
    spoilt[0, 0, 0] = 1e6
    first, second = bring_intensity(values, TASK), bring_intensity(spoilt, TASK)
    assert float(first.mean()) == pytest.approx(0, abs=1e-4)
    assert float(first.std()) == pytest.approx(1, abs=1e-3)
    assert float((first - second)[1:].abs().max()) < 0.05
    windowed = bring_intensity(values, TASK.model_copy(update={"intensity": "window", "window": (90.0, 110.0)}))
    assert (float(windowed.min()), float(windowed.max())) == (-1.0, 1.0)


def test_views_of_volumes_move_image_and_label_together():
    volumes = cohort((12, 12, 12))
    label = torch.zeros(12, 12, 12, dtype=torch.uint8)
    label[3:8, 2:7, 4:9] = 1
    bright = VolumeCohort(volumes.cases, (label[None].float() * 2 - 1,), (label,), (True,), volumes.alignments, (label,), (None,))
    task = TASK.model_copy(update={"image_size": (12, 12, 12)})
    sample = bright.draw(torch.zeros(4, dtype=torch.int64), task, TrainingConfig(epochs=1), torch.Generator().manual_seed(0))
    moved = draw_view(sample, "affine", torch.Generator().manual_seed(2))
    inside = moved.image[:, 0] > 0
    overlap = (inside & (moved.masks > 0)).sum() / (inside | (moved.masks > 0)).sum()
    assert float(overlap) > 0.8
    assert not torch.equal(moved.masks, sample.masks)
    assert bool((moved.labels[~moved.valid_mask] == -1).all())
