from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import CatalogueError
from medkd.loss_check.asking import as_number, follow, gradient_of, scalar, set_weights, weights_of
from tests.loss_check.conftest import SETTING
from tests.loss_check.faults import GOOD


def test_weights_come_and_go_flat():
    first, second = SETTING.network(0), SETTING.network(1)
    set_weights(second, weights_of(first))
    assert torch.equal(weights_of(first), weights_of(second))


def test_a_gradient_is_flat_with_zeros_where_none_arrives():
    student = SETTING.network(0)
    found = gradient_of(student, lambda: student.head.weight.square().sum() / 2)
    torch.testing.assert_close(found[-student.head.weight.numel() :], student.head.weight.detach().flatten())
    assert float(found[: -student.head.weight.numel()].abs().max()) == 0


def test_each_step_is_as_long_as_it_should_be_whatever_the_gradient():
    student = SETTING.network(0)
    begin = weights_of(student)
    follow(student, lambda: torch.full_like(begin, 1e6), steps=1, length=0.02)
    assert float((weights_of(student) - begin).norm()) == pytest.approx(0.02 * float(begin.norm()), rel=1e-3)
    follow(student, lambda: torch.full_like(begin, float("nan")), steps=1, length=0.02)
    assert bool(weights_of(student).isfinite().all())


def test_what_is_no_scalar_is_refused(case_of):
    case = case_of(GOOD)
    assert case.value(SETTING.network(0)).ndim == 0
    for wrong in (None, torch.zeros(3), torch.tensor(1), "x"):
        with pytest.raises(CatalogueError, match="expected margin to return a floating-point scalar"):
            scalar(wrong, "margin")


def test_numbers_of_python_and_numpy_are_known_and_nothing_else_is_one():
    assert [as_number(value) for value in (2, 2.0, np.float32(2), np.int64(2), np.asarray(2.0))] == [2.0] * 5
    assert [as_number(value) for value in (None, "2", 2j, np.zeros(3), torch.tensor(2.0))] == [None] * 5
