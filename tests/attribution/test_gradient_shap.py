"""Of a linear network the draws do not matter; of a quadratic one its values are those of integrated gradients."""

import torch

from medkd.attribution.gradient_shap import gradient_shap
from medkd.targets import class_logit, class_margin
from medkd.trace import trace
from tests.attribution.networks import linear, margin_of
from tests.attribution.test_integrated_gradients import Quadratic


def test_of_a_linear_network_it_is_weight_times_distance_from_the_baseline():
    network, weight = linear()
    image = torch.randn(2, 1, 8, 8)
    found = gradient_shap(trace(network, image), class_margin(1), samples=2, noise=0.0)
    torch.testing.assert_close(found, margin_of(weight, 1) * (image[:, 0] + 1))


def test_a_quadratic_score_is_attributed_in_the_mean():
    weight, image = torch.randn(1, 4, 4), torch.randn(1, 1, 4, 4)
    torch.manual_seed(3)
    found = gradient_shap(trace(Quadratic(weight), image), class_logit(1), samples=400, noise=0.5)
    # E over b ~ N(-1, 1/4) of w (x^2 - b^2) = w (x^2 - 1 - 1/4).
    expected = (weight * (image**2 - 1.25)).sum(1)
    assert float((found - expected).abs().mean()) < 0.1 * float(expected.abs().mean())
