"""Of a linear network the smallest change is known: along the weights, as far as the score is large."""

import pytest
import torch

from medkd.attribution.adversarial import adversarial
from medkd.targets import class_margin, lesion_margin
from medkd.trace import trace
from tests.attribution.networks import linear


def test_a_linear_network_gives_way_along_its_weights():
    network, weights = linear(2, (6, 6))
    image = 0.01 * torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    found = adversarial(trace(network, image), class_margin(1))
    weight = (weights[1] - weights[0])[None, None]
    expected = found.before.abs() / float(weight.norm())
    assert bool(found.flipped.all())
    torch.testing.assert_close(found.distance, expected.double(), rtol=0.02, atol=0)
    along = torch.nn.functional.cosine_similarity(found.change.flatten(1), weight.flatten()[None])
    torch.testing.assert_close(along.abs(), torch.ones(3), atol=1e-4, rtol=0)


def test_it_stays_within_the_range_and_says_when_nothing_flips():
    network, weights = linear(2, (6, 6))
    weight = (weights[1] - weights[0])[None, None]
    found = adversarial(trace(network, 0.05 * weight.sign()), class_margin(1), low=0.04, high=0.06)
    assert found.flipped.tolist() == [False] or float(found.image.min()) >= 0.04 - 1e-6
    assert float(found.image.max()) <= 0.06 + 1e-6


def test_a_finding_goes(make_network, make_sample, task):
    sample = make_sample(2)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    found = adversarial(trace(make_network(4).eval(), sample.image), target, steps=100)
    assert bool(found.flipped.all())
    assert bool((found.before.sign() != found.after.sign()).all()) or bool((found.after == 0).any())
    assert float(found.distance.max()) == pytest.approx(float(found.change.flatten(1).norm(dim=1).max()), rel=1e-5)
    assert float(found.distance.max()) < float(sample.image.flatten(1).norm(dim=1).max())
