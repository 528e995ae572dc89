"""Left and right over all 48 orientations: what lies at an edge is what the affine says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from data_contracts import Geometry
from medkd.review.orientation_marks import direction_of, picture_marks

NAMES = {(0, 1): "L", (0, -1): "R", (1, 1): "P", (1, -1): "A", (2, 1): "S", (2, -1): "I"}


def signed_permutations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield order, signs


@pytest.mark.parametrize(("order", "signs"), list(signed_permutations()))
def test_the_marks_are_where_the_patient_is(order, signs):
    affine = np.zeros((4, 4))
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[axis, column] = sign * (4.0, 3.0, 2.0)[column]
    affine[3, 3] = 1
    geometry = Geometry(shape=(5, 6, 7), affine_lps_mm=tuple(map(tuple, affine.tolist())), spacing_mm=(4.0, 3.0, 2.0), residual_mm=0)
    marks = picture_marks(geometry)
    # Independently: the world position of the picture's right edge less that of its left edge.
    across = np.subtract(geometry.position_lps_mm(0, 0, 6), geometry.position_lps_mm(0, 0, 0))
    down = np.subtract(geometry.position_lps_mm(0, 5, 0), geometry.position_lps_mm(0, 0, 0))
    for vector, far, near in ((across, "right", "left"), (down, "bottom", "top")):
        axis = int(np.flatnonzero(vector)[0])
        assert marks[far].value == NAMES[axis, int(np.sign(vector[axis]))]
        assert marks[near].value == NAMES[axis, -int(np.sign(vector[axis]))]


def test_an_oblique_axis_is_named_by_its_largest_part():
    assert direction_of((0.8, -0.5, 0.3)).value == "L"
    assert direction_of((-0.2, -0.9, 0.3)).value == "A"
