from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_contracts import VoxelMask
from medkd.volumes.voxel_masks import mask_of, voxels_of


@given(arrays(bool, st.tuples(*[st.integers(1, 5)] * 3)).filter(lambda voxels: voxels.any()))
def test_a_mask_holds_the_voxels_that_it_was_made_of(voxels):
    mask = mask_of(voxels)
    assert mask.shape == voxels.shape
    assert sum(length for _, length in mask.runs) == voxels.sum()
    assert np.array_equal(voxels_of(mask), voxels)


def test_runs_are_counted_column_by_column_within_a_row():
    voxels = np.zeros((2, 2, 3), bool)
    voxels[0, 0, 1:], voxels[0, 1, 0], voxels[1, 1, 2] = True, True, True
    assert mask_of(voxels) == VoxelMask(shape=(2, 2, 3), runs=((1, 3), (11, 1)))


def test_nothing_marked_is_no_mask():
    with pytest.raises(ValueError, match="runs"):
        mask_of(np.zeros((1, 2, 3), bool))
