"""Means over blocks: the value and the gradients of the library's own pooling, whatever the grid."""

import pytest
import torch
from torch.nn import functional

from medkd.training.coarse import averaged_to

GRIDS = [((8, 12), (4, 6)), ((8, 12, 6), (4, 6, 3)), ((6, 12, 6), (2, 12, 3)), ((7, 10), (4, 5))]


@pytest.mark.parametrize(("fine", "coarse"), GRIDS)
def test_means_and_gradients_are_those_of_adaptive_pooling(fine, coarse):
    pool = functional.adaptive_avg_pool2d if len(fine) == 2 else functional.adaptive_avg_pool3d
    values = torch.randn(2, 3, *fine, requires_grad=True)
    pull = torch.randn(2, 3, *coarse)
    (student_values,) = torch.autograd.grad((averaged_to(values, coarse) * pull).sum(), values)
    (teacher_values,) = torch.autograd.grad((pool(values, coarse) * pull).sum(), values)
    torch.testing.assert_close(averaged_to(values, coarse), pool(values, coarse))
    torch.testing.assert_close(student_values, teacher_values)


def test_bf16_logits_are_averaged_in_float32_and_get_bf16_gradients():
    values = torch.randn(2, 3, 8, 12, 6).to(torch.bfloat16).requires_grad_()
    means = averaged_to(values, (4, 6, 3))
    assert means.dtype == torch.float32
    torch.testing.assert_close(means, functional.avg_pool3d(values.float(), 2))
    means.square().sum().backward()
    assert values.grad.dtype == torch.bfloat16
    assert values.grad.abs().sum() > 0


def test_second_derivatives_flow_for_terms_that_match_gradients():
    values = torch.randn(1, 2, 4, 6, requires_grad=True)
    (first,) = torch.autograd.grad(averaged_to(values, (2, 3)).pow(3).sum(), values, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), values)
    # d/dx of sum_y mean^3: the sum of the first derivatives is 3 sum mean^2, whose derivative is 6 mean / 4 in each voxel of its block.
    expected = functional.interpolate(6 * averaged_to(values, (2, 3)) / 4, scale_factor=2, mode="nearest")
    torch.testing.assert_close(second, expected)
