from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import DirectedRegion, VoxelMask
from medkd.cohorts.case_directives import CaseDirectives, forbidden_percent, joined_directives
from medkd.trace import Sample
from medkd.volumes.voxel_masks import mask_of, voxels_of

SHAPE = (1, 2, 3)


def region(meaning, *voxels, factor=1.0):
    flat = np.zeros(6, dtype=bool)
    flat[list(voxels)] = True
    return DirectedRegion(meaning=meaning, voxels=mask_of(flat.reshape(SHAPE)), factor=factor)


def percent(*regions):
    return forbidden_percent(regions).ravel().tolist()


def test_what_is_forbidden_is_what_was_drawn():
    assert percent(region("forbidden", 1, 2)) == [0, 100, 100, 0, 0, 0]
    assert percent(region("forbidden", 1, factor=0.5), region("forbidden", 1, 2)) == [0, 100, 100, 0, 0, 0]


def test_where_regions_are_allowed_all_outside_of_them_is_forbidden():
    assert percent(region("allowed", 0, 1, factor=0.5)) == [0, 0, 50, 50, 50, 50]
    assert percent(region("allowed", 0, factor=0.5), region("allowed", 1)) == [0, 0, 100, 100, 100, 100]
    assert percent(region("allowed", 0, 1, factor=0.5), region("forbidden", 1, 2)) == [0, 100, 100, 50, 50, 50]


def test_where_everything_is_allowed_nothing_is_forbidden():
    assert forbidden_percent((region("allowed", *range(6)),)) is None
    assert forbidden_percent(()) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_mask_holds_the_voxels_that_it_was_made_of(seed):
    draw = np.random.default_rng(seed)
    voxels = draw.random(tuple(draw.integers(1, 6, 3))) < draw.random()
    if voxels.any():
        assert np.array_equal(voxels_of(mask_of(voxels)), voxels)
        assert mask_of(voxels).shape == voxels.shape
    assert voxels_of(VoxelMask(shape=(1, 1, 3), runs=((0, 3),))).all()


def test_batches_carry_the_weights_and_regions_of_their_rows():
    mark = torch.full((2, 3), 100, dtype=torch.uint8)
    said = CaseDirectives(torch.tensor([1.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]), (None, None, mark))
    rows = torch.tensor([2, 0])
    sample = said.attach(Sample(inputs={"image": torch.zeros(2, 1, 2, 3)}), rows, [said.forbidden[row] for row in rows.tolist()])
    assert sample.weights.tolist() == [1.0, 1.0]
    assert sample.explanation_weights.tolist() == [0.0, 1.0]
    assert torch.equal(sample.forbidden, torch.stack([mark, torch.zeros_like(mark)]))


def test_a_cohort_of_which_nobody_spoke_joins_one_that_readers_spoke_of():
    said = CaseDirectives(torch.tensor([0.5]), torch.tensor([0.0]), (torch.ones(2, 3, dtype=torch.uint8),))
    both = joined_directives(None, said, (2, 1))
    assert both.weights.tolist() == [1.0, 1.0, 0.5]
    assert both.explanation_weights.tolist() == [1.0, 1.0, 0.0]
    assert [one is None for one in both.forbidden] == [True, True, False]
    assert joined_directives(None, None, (2, 1)) is None
    assert joined_directives(said, None, (1, 2)).select(torch.tensor([2, 0])).weights.tolist() == [1.0, 0.5]
