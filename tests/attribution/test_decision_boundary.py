"""Of a linear network the boundary is |score| / ||weight|| away, and a straight line in every plane."""

import torch

from medkd.attribution.decision_boundary import decision_boundary
from medkd.targets import class_margin, lesion_margin
from medkd.trace import trace
from tests.attribution.networks import linear


def test_a_linear_networks_boundary_is_as_far_as_its_score_is_large():
    network, weights = linear(2, (6, 6))
    image = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    found = decision_boundary(trace(network, image), class_margin(1), points=5)
    weight = weights[1] - weights[0]
    with torch.no_grad():
        score = class_margin(1)(network(image)).double()
    torch.testing.assert_close(found.distance, score.abs() / float(weight.norm()), rtol=2e-3, atol=0)
    torch.testing.assert_close(found.scores[:, 2, 2], score, rtol=1e-5, atol=1e-6)
    # Along the other direction nothing changes: it is at a right angle to the weights.
    torch.testing.assert_close(found.scores[:, 2, 0], score, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.scores[:, 4, 2], -3 * score, rtol=1e-3, atol=1e-4)


def test_what_is_not_met_is_not_a_number(make_network, make_sample, task):
    sample = make_sample(2)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    found = decision_boundary(trace(make_network().eval(), sample.image), target, points=3, reach=1e-3)
    assert bool(found.distance.isnan().all())
    assert found.scores.shape == (2, 3, 3)
