"""Noise does not change the gradient of what is linear, and smooths that of a kink: both known."""

import math

import torch
from torch import nn

from medkd.attribution.smooth_grad import smooth_grad
from medkd.targets import class_logit, class_margin
from medkd.trace import LayerMap, trace, with_layer_map
from tests.attribution.networks import linear, margin_of


class Kink(nn.Module):
    """Logit 1 = sum of |x|: its smoothed gradient is erf(x / (sigma sqrt 2))."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Identity()
        with_layer_map(self, LayerMap(feature_layers=("inner",), cam_layer="inner", head="inner"))

    def forward(self, image):
        total = self.inner(image).abs().flatten(1).sum(1)
        return torch.stack([torch.zeros_like(total), total], 1)


def test_of_a_linear_network_it_is_its_weight():
    network, weight = linear()
    found = smooth_grad(trace(network, torch.randn(2, 1, 8, 8)), class_margin(1), samples=3, noise=0.7)
    torch.testing.assert_close(found, margin_of(weight, 1).expand(2, 8, 8))


def test_a_kink_is_smoothed_as_the_error_function_says():
    image = torch.linspace(-1, 1, 256).reshape(1, 1, 16, 16)
    torch.manual_seed(0)
    found = smooth_grad(trace(Kink(), image), class_logit(1), samples=800, noise=0.15)
    expected = torch.erf(image[0, 0] / (0.15 * 2 * math.sqrt(2)))
    assert float((found[0] - expected).abs().mean()) < 0.03
    assert float((image[0, 0].sign() - expected).abs().mean()) > 0.2


def test_it_can_be_multiplied_by_the_signal():
    network, weight = linear()
    image = torch.randn(1, 1, 8, 8)
    found = smooth_grad(trace(network, image), class_logit(0), samples=2, times_input=True)
    torch.testing.assert_close(found[0], weight[0] * (image[0, 0] + 1))
