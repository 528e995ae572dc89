"""What student and teacher mark: the order of findings, and what either marks alone."""

from __future__ import annotations

import pytest
import torch

from data_contracts import Geometry
from medkd.explanation.against_teacher import agreed_first, likeness_of, missed_by_student, parts_of
from medkd.explanation.standing import place_of
from medkd.inference.lesions import find_lesions

SHAPE = (10, 20, 40)
AFFINE = ((0.0, 0.0, 2.0, -39.0), (0.0, 2.0, 0.0, -19.0), (2.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
GEOMETRY = Geometry(shape=SHAPE, affine_lps_mm=AFFINE, spacing_mm=(2.0, 2.0, 2.0), residual_mm=0.0)


def mask(*spans):
    """Return boxes of 4 slices and 5 rows over spans of columns."""
    values = torch.zeros(SHAPE, dtype=torch.uint8)
    for first, last in spans:
        values[2:6, 5:10, first:last] = 1
    return values


def components(values):
    return [(*found, 1) for found in find_lesions(values, GEOMETRY)]


def columns(found):
    return [int(region.nonzero()[:, 2].min()) for _, region, _ in found]


def test_what_the_teacher_marks_too_comes_before_what_is_larger():
    student = mask((0, 10), (15, 20), (25, 33))
    assert columns(agreed_first(components(student), {1: mask((15, 20), (26, 33))})) == [25, 15, 0]
    assert columns(agreed_first(components(student), {})) == [0, 25, 15], "without a teacher size alone counts"


def test_a_second_lesion_elsewhere_does_not_lower_the_likeness_of_the_first():
    alike = likeness_of(mask((0, 10)), parts_of(mask((0, 10), (20, 38))))
    assert (alike.share, alike.dice) == (1.0, 1.0)
    half = likeness_of(mask((0, 10)), parts_of(mask((5, 15), (20, 38))))
    assert (half.share, half.dice) == pytest.approx((0.5, 0.5))
    assert likeness_of(mask((0, 10)), parts_of(mask((20, 38)))).dice == 0.0


def test_what_the_student_misses_is_listed_with_the_largest_first():
    teacher = mask((0, 4), (10, 20), (30, 38))
    missed = missed_by_student({1: mask((11, 20), (37, 40))}, {1: teacher}, ("background", "bright"), GEOMETRY, smallest=8)
    assert [(one.tracking_id, one.class_name, one.voxels) for one in missed] == [("teacher-1", "bright", 80)]
    missed = missed_by_student({1: mask()}, {1: teacher}, ("background", "bright"), GEOMETRY, smallest=81)
    assert [one.voxels for one in missed] == [200, 160], "components that are too small are left out"
    assert place_of(missed[0]) == "1.60 ml, side unknown, at LPS (-10, -5, 7) mm"
