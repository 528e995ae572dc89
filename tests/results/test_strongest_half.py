from __future__ import annotations

import numpy as np
import pytest

from medkd.results.strongest_half import strongest_half


def test_the_fewest_voxels_that_hold_half_whatever_their_sign():
    values = np.array([[[5.0, -3.0, 1.0, 1.0]]], np.float32)
    assert strongest_half({3: values}).tolist() == [[[3, 0, 0, 0]]]
    values[0, 0, 0] = 4.0  # 4 of 9: less than half, so that the next one is needed
    assert strongest_half({3: values}).tolist() == [[[3, 3, 0, 0]]]


@pytest.mark.parametrize("seed", range(5))
def test_no_smaller_set_holds_half(seed):
    """Found another way: taken one by one from the strongest, until half is reached."""
    values = np.random.default_rng(seed).normal(size=(3, 4, 5)).astype(np.float32)
    left, taken = sorted(np.abs(values.astype(np.float64)).ravel(), reverse=True), []
    while sum(taken) < sum(map(abs, values.astype(np.float64).ravel())) / 2:
        taken.append(left.pop(0))
    found = strongest_half({1: values}) > 0
    assert found.sum() == len(taken)
    assert np.abs(values[found]).min() == np.float32(taken[-1])


def test_equal_voxels_are_not_told_apart_and_an_empty_map_marks_nothing():
    assert strongest_half({1: np.ones((1, 2, 3), np.float32)}).tolist() == [[[1] * 3] * 2]
    assert not strongest_half({1: np.zeros((1, 2, 3), np.float32)}).any()


def test_a_voxel_of_two_goes_to_the_map_that_it_holds_more_of():
    first, second = np.array([[[4.0, 4.0, 0.0]]], np.float32), np.array([[[0.0, 70.0, 10.0]]], np.float32)
    assert strongest_half({1: first, 2: second}).tolist() == [[[1, 2, 0]]]
    assert strongest_half({1: first, 2: first}).tolist() == [[[1, 1, 0]]]
