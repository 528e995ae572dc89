"""A linear network likes an image of its weights' signs."""

import torch

from medkd.attribution.activation_maximisation import activation_maximisation
from medkd.targets import class_margin
from medkd.trace import trace
from tests.attribution.networks import linear


def test_a_linear_network_likes_its_weights_signs():
    network, weights = linear(2, (6, 6))
    image = torch.zeros(2, 1, 6, 6)
    found = activation_maximisation(trace(network, image), class_margin(1), steps=60, rate=0.3, smoothness=0.0)
    weight = weights[1] - weights[0]
    assert torch.equal(found.image.sign(), weight[None, None].sign().expand(2, -1, -1, -1))
    assert float(found.scores[-1].min()) > float(found.scores[0].max())


def test_it_climbs_and_stays_within_the_range(make_network, make_sample, task):
    from medkd.targets import lesion_margin

    sample = make_sample(2)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    found = activation_maximisation(trace(make_network().eval(), sample.image), target, steps=6)
    assert bool((found.scores.amax(0) > found.scores[0]).all())
    assert float(found.image.min()) >= -1.0
    assert float(found.image.max()) <= 1.0
