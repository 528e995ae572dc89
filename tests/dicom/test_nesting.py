"""Contours within contours: a hole, an island in it, and contours that overlap in part and are united."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path

from medkd.dicom.labels.nesting import overlapping, unite, within


def square(low, high, *, right=0.0):
    return np.array([[low, low + right], [low, high + right], [high, high + right], [high, low + right]], dtype=float)


def inside(points, contour):
    return Path(contour).contains_points(points)


def mask(contour, size=24):
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1).reshape(-1, 2)
    return inside(grid, contour).reshape(size, size)


RING = [square(1.5, 20.5), square(5.5, 16.5), square(8.5, 12.5)]


def test_only_contours_whose_boxes_meet_are_compared():
    assert overlapping([square(0, 5), square(4, 8), square(10, 12)]) == [0, 1]


def test_a_contour_within_another_is_found_and_not_the_other_way_round():
    assert within(RING, 0.01, inside).tolist() == [[False] * 3, [True, False, False], [True, True, False]]


def test_contours_that_overlap_in_part_lie_within_neither():
    assert not within([square(1.5, 10.5), square(1.5, 10.5, right=4)], 0.01, inside).any()


@pytest.mark.parametrize("shift", [0.0, 0.004])
def test_of_two_that_are_one_but_for_rounding_neither_is_a_hole(shift):
    assert not within([square(1.5, 10.5), square(1.5, 10.5) + shift], 0.01, inside).any()


def test_a_hole_is_left_out_and_its_island_is_in_again():
    united = unite([mask(one) for one in RING], RING, within(RING, 0.01, inside))
    outer, hole, island = (int(mask(one).sum()) for one in RING)
    assert united.sum() == outer - hole + island
    assert (united[3, 3], united[7, 7], united[10, 10]) == (True, False, True)


def test_contours_that_overlap_in_part_are_united():
    parts = [square(1.5, 10.5), square(1.5, 10.5, right=4)]
    united = unite([mask(one) for one in parts], parts, within(parts, 0.01, inside))
    assert (united == mask(parts[0]) | mask(parts[1])).all()
