"""Offsets and sizes counted by hand."""

from __future__ import annotations

import math

import pytest
import torch

from data_contracts import RecipeError
from medkd.distillation.box_regression import box_regression
from tests.distillation.cells import labelled, traced


def exact():
    """Return what the cell of the lesion's centre (1.5, 2.75; 1 x 1.5 cells) should say: (1, 2) and no other."""
    boxes = torch.full((1, 4, 4, 4), 7.0)
    boxes[0, :, 1, 2] = torch.tensor([0.0, 0.25, 0.0, math.log(1.5)])
    return boxes


def test_what_is_right_near_the_centre_costs_nothing_whatever_the_others_say():
    assert float(box_regression(traced(torch.zeros(1, 2, 4, 4), exact()), None, labelled())) == pytest.approx(0, abs=1e-6)


def test_a_large_error_counts_by_its_size_and_a_small_one_by_its_square():
    boxes = exact()
    boxes[0, 0, 1, 2] += 3.0
    boxes[0, 2, 1, 2] += 0.2
    assert float(box_regression(traced(torch.zeros(1, 2, 4, 4), boxes), None, labelled())) == pytest.approx((3 - 0.5) + 0.5 * 0.2**2)


def test_without_labels_there_is_nothing_to_learn():
    assert float(box_regression(traced(torch.zeros(1, 2, 4, 4), exact() + 1), None, labelled(missing=True))) == 0


def test_a_network_without_boxes_is_refused():
    with pytest.raises(RecipeError, match="box head") as caught:
        box_regression(traced(torch.zeros(1, 2, 4, 4)), None, labelled())
    assert caught.value.code == "RECIPE_NEEDS"
