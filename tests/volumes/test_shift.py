"""Another acquisition of the same anatomy."""

from __future__ import annotations

import pytest
import torch

from data_contracts import Shift
from medkd.volumes.shift import shifted


@pytest.fixture(params=[(12, 14), (8, 12, 14)])
def images(request):
    return torch.rand(3, 1, *request.param, generator=torch.Generator().manual_seed(4)) * 2 - 1


def test_noise_has_the_deviation_that_was_asked_and_is_the_same_again(images):
    shift = Shift(kind="noise", strength=0.3)
    large = torch.zeros(1, 1, 100, 100)
    assert float(shifted(large, shift).std()) == pytest.approx(0.3, rel=0.03)
    assert torch.equal(shifted(images, shift), shifted(images, shift))
    assert not torch.equal(shifted(images, shift), shifted(images, shift, seed=1))


def test_blur_spreads_a_point_by_its_deviation():
    """The second moment of a blurred point is the square of the Gaussian's deviation, along every axis."""
    point = torch.zeros(1, 1, 31, 33)
    point[0, 0, 15, 16] = 1.0
    spread = shifted(point, Shift(kind="blur", strength=2.0))[0, 0].double()
    rows = torch.arange(31, dtype=torch.double) - 15
    assert float(spread.sum()) == pytest.approx(1.0, abs=1e-3)
    assert float((spread.sum(1) * rows.square()).sum()) == pytest.approx(4.0, rel=0.06)
    assert torch.allclose(spread, spread.flip(0), atol=1e-6)


def test_gamma_keeps_range_and_order_and_is_the_power(images):
    darker = shifted(images, Shift(kind="gamma", strength=2.0))
    for before, after in zip(images, darker, strict=True):
        assert float(after.min()) == pytest.approx(float(before.min()), abs=1e-6)
        assert float(after.max()) == pytest.approx(float(before.max()), abs=1e-6)
        assert bool((after.flatten()[before.flatten().argsort()].diff() >= 0).all())
        middle = (before - before.min()) / (before.max() - before.min())
        assert torch.allclose((after - after.min()) / (after.max() - after.min()), middle.square(), atol=1e-5)
    assert torch.allclose(shifted(images, Shift(kind="gamma", strength=1.0)), images, atol=1e-6)


def test_an_even_image_stays_as_it_is():
    even = torch.full((2, 1, 6, 6), 0.25)
    assert torch.equal(shifted(even, Shift(kind="gamma", strength=3.0)), even)
