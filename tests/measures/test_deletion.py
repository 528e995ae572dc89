from __future__ import annotations

import pytest
import torch

from medkd.measures._perturb import Perturbation, area, curve
from medkd.measures.deletion import deletion
from medkd.measures.insertion import insertion


def linear(points=17):
    """A score that is the mean pixel: deleting to zero takes each pixel's own share away."""
    image = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Perturbation(score=lambda changed, _: changed.flatten(1).mean(1), image=image, baseline=image * 0, points=points)


def test_the_curve_of_a_linear_score_is_known():
    perturbation = linear()
    pixels = perturbation.image[:, 0].flatten(1).double()
    ordered = pixels.sort(dim=1, descending=True).values
    left = torch.stack([ordered[:, k:].sum(1) / 16 for k in range(17)], dim=1)
    torch.testing.assert_close(curve(perturbation.image[:, 0], perturbation, insert=False), left, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(
        deletion(perturbation.image[:, 0], perturbation), torch.trapezoid(left, dx=1 / 16, dim=1), atol=1e-6, rtol=1e-6
    )


def test_the_right_order_deletes_faster_than_the_wrong_one():
    perturbation = linear()
    right = perturbation.image[:, 0]
    assert bool((deletion(right, perturbation) < deletion(-right, perturbation)).all())


def test_for_a_linear_score_deletion_and_insertion_sum_to_the_whole():
    perturbation = linear()
    both = deletion(perturbation.image[:, 0], perturbation) + insertion(perturbation.image[:, 0], perturbation)
    torch.testing.assert_close(both, perturbation.image.double().flatten(1).mean(1), atol=1e-6, rtol=1e-6)


def test_the_area_of_a_straight_line_is_a_half():
    assert float(area(torch.linspace(0, 1, 9, dtype=torch.double)[None])) == pytest.approx(0.5)
