"""Left and right over all 48 orientations: what lies at an edge is what the affine says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from data_contracts import Geometry
from medkd.review.orientation_marks import direction_of, picture_marks, views_of

NAMES = {(0, 1): "L", (0, -1): "R", (1, 1): "P", (1, -1): "A", (2, 1): "S", (2, -1): "I"}


def signed_permutations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield order, signs


def oriented(order, signs):
    affine = np.zeros((4, 4))
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[axis, column] = sign * (4.0, 3.0, 2.0)[column]
    affine[3, 3] = 1
    return Geometry(shape=(5, 6, 7), affine_lps_mm=tuple(map(tuple, affine.tolist())), spacing_mm=(4.0, 3.0, 2.0), residual_mm=0)


#: What radiologists see at the right and at the lower edge of a plane.
USUAL = {"axial": "LP", "coronal": "LI", "sagittal": "PI"}


@pytest.mark.parametrize(("order", "signs"), list(signed_permutations()))
def test_every_plane_is_named_and_turned_by_the_affine(order, signs):
    geometry = oriented(order, signs)
    values = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    views = views_of(geometry)
    assert sorted(view.name for view in views) == ["axial", "coronal", "sagittal"]
    assert (views[0].axis, views[0].down, views[0].right, views[0].flip_down, views[0].flip_right) == (0, 1, 2, False, False)
    for view in views:
        picture = view.slice_of(values, 2)
        # Independently: where the voxels at the corners of the picture lie in the patient.
        corner, right, down = (np.array(np.unravel_index(picture[at], values.shape)) for at in ((0, 0), (0, -1), (-1, 0)))
        for far, near, edge, opposite in ((right, corner, "right", "left"), (down, corner, "bottom", "top")):
            vector = np.subtract(geometry.position_lps_mm(*far), geometry.position_lps_mm(*near))
            axis = int(np.flatnonzero(vector)[0])
            assert view.marks[edge].value == NAMES[axis, int(np.sign(vector[axis]))]
            assert view.marks[opposite].value == NAMES[axis, -int(np.sign(vector[axis]))]
        assert view.spacing == (np.linalg.norm(np.subtract(geometry.position_lps_mm(*down), geometry.position_lps_mm(*corner))) / (picture.shape[0] - 1),
                                np.linalg.norm(np.subtract(geometry.position_lps_mm(*right), geometry.position_lps_mm(*corner))) / (picture.shape[1] - 1))  # fmt: skip
    for view in views[1:]:
        assert view.marks["right"].value + view.marks["bottom"].value == USUAL[view.name]


def test_a_single_slice_has_one_plane():
    assert [view.name for view in views_of(oriented((2, 1, 0), (1, 1, 1)).model_copy(update={"shape": (1, 6, 7)}))] == ["axial"]


@pytest.mark.parametrize(("order", "signs"), list(signed_permutations()))
def test_the_marks_are_where_the_patient_is(order, signs):
    geometry = oriented(order, signs)
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
