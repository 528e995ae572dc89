"""Outlines as paths: round the mask, in pixels of the plane as it is drawn."""

from __future__ import annotations

import re

import numpy as np
import pytest
from skimage.measure import find_contours

from data_contracts import Geometry
from medkd.review.orientation_marks import views_of
from medkd.review.page_outlines import outlines_of, path_of


def loops_of(path):
    """Return the loops of a path, each its points (x, y)."""
    loops = []
    for text in re.findall(r"M([^z]*)z", path):
        start, steps = text.split("l")
        points = [np.array([float(one) for one in start.split()])]
        numbers = [float(one) for one in steps.split()]
        for x, y in zip(numbers[::2], numbers[1::2], strict=True):
            points.append(points[-1] + (x, y))
        loops.append(np.array(points))
    return loops


def area(points):
    x, y = points.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def test_a_path_runs_round_the_marked_pixels():
    mask = np.zeros((20, 30), bool)
    mask[3:8, 5:12] = True
    (loop,) = loops_of(path_of(mask))
    assert loop.min(0).tolist() == [5, 3]
    assert loop.max(0).tolist() == [12, 8]
    assert len(loop) == 8, "its corners alone"
    assert path_of(np.zeros((4, 4), bool)) == ""


@pytest.mark.parametrize("seed", range(5))
def test_paths_enclose_what_another_library_finds(seed):
    mask = np.random.default_rng(seed).random((15, 17)) > 0.6
    expected = sorted(area(loop[:-1]) for loop in find_contours(np.pad(mask.astype(float), 1), 0.5))
    assert sorted(area(loop) for loop in loops_of(path_of(mask))) == pytest.approx(expected)


def test_a_large_outline_takes_few_bytes():
    rows, columns = np.mgrid[:512, :512]
    assert len(path_of((rows - 250) ** 2 + (columns - 250) ** 2 < 200**2)) < 4000


def test_slices_without_marks_have_no_path_and_planes_are_turned():
    affine = ((0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (2.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    views = {
        view.name: view for view in views_of(Geometry(shape=(6, 8, 10), affine_lps_mm=affine, spacing_mm=(2.0, 1.0, 1.0), residual_mm=0))
    }
    mask = np.zeros((6, 8, 10), bool)
    mask[1, 2:4, 5:9] = True
    assert set(outlines_of(mask, views["axial"], list(range(6)))) == {"1"}
    coronal = outlines_of(mask, views["coronal"], list(range(8)))
    assert set(coronal) == {"2", "3"}
    (loop,) = loops_of(coronal["2"])
    # The head is up: slice 1 of 6 is the second row from below.
    assert (loop.min(0).tolist(), loop.max(0).tolist()) == ([5, 4], [9, 5])
