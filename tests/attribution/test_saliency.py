from __future__ import annotations

import pytest
import torch
from torch import nn

from medkd.attribution.saliency import saliency
from medkd.targets import class_margin
from medkd.trace import LayerMap, trace, with_layer_map


class Linear(nn.Module):
    """Logits = W image, so that the gradient of a margin is a difference of rows."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.inner = nn.Identity()
        with_layer_map(self, LayerMap(feature_layers=("inner",), cam_layer="inner", head="inner"))

    def forward(self, image):
        return self.inner(image).flatten(1) @ self.weight.T


@pytest.fixture
def weight():
    return torch.randn(3, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("differentiable", [False, True])
def test_of_a_linear_network_it_is_its_weight(weight, differentiable):
    found = saliency(trace(Linear(weight), torch.randn(2, 1, 8, 8)), class_margin(2), differentiable=differentiable)
    expected = weight[2] - (weight[0] + weight[1]) / 2
    assert found.requires_grad is differentiable
    torch.testing.assert_close(found.detach(), expected.reshape(1, 8, 8).expand(2, 8, 8))


def test_by_finite_differences(make_network, make_sample, task):
    from medkd.targets import lesion_margin

    network, sample = make_network().eval().double(), make_sample(1)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    image = sample.image.double()
    found = saliency(trace(network, image), target)
    for row, column in ((3, 5), (16, 16), (30, 2)):
        step = torch.zeros_like(image)
        step[0, 0, row, column] = 1e-4
        # The target computes in float32: a wide step keeps its rounding small.
        with torch.no_grad():
            change = target(network(image + 50 * step)) - target(network(image - 50 * step))
        assert float(change) / 1e-2 == pytest.approx(float(found[0, row, column]), rel=0.05, abs=5e-3)
