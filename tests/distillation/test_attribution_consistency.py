from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from medkd.attribution._attribute import attribute
from medkd.distillation.attribution_consistency import attribution_consistency
from medkd.targets import class_margin, lesion_margin
from medkd.trace import LayerMap, trace


def test_by_hand_with_the_reports_own_maps(make_network, make_sample, task):
    network, sample = make_network(0).eval(), make_sample(3)
    value = attribution_consistency(trace(network, sample.inputs), None, sample, grid=64)
    with torch.no_grad():
        answer = network(sample.image).argmax(1)
    here, there = (class_margin(answer), class_margin(answer)) if task == "classification" else (lesion_margin((answer > 0).byte()), lesion_margin((answer > 0).byte().flip(-1)))  # fmt: skip
    straight = attribute(network, sample.image, here, explainer="cam").flip(-1)
    mirrored = attribute(network, sample.image.flip(-1), there, explainer="cam")
    cosine = functional.cosine_similarity(straight.flatten(1).double(), mirrored.flatten(1).double(), dim=1)
    assert float(value) == pytest.approx(float((1 - cosine).mean()), abs=1e-4)
    assert float(value) > 1e-4


class Pointwise(nn.Module):
    """Looks at each pixel alone: its maps move with the image exactly."""

    def __init__(self, pool):
        super().__init__()
        self.pool, self.features = pool, nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU())
        self.head = nn.Linear(3, 2, bias=False) if pool else nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            self.features[0].weight.copy_(torch.tensor([1.0, -1.0, 2.0]).view(3, 1, 1, 1))
            self.head.weight.copy_(torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]).view(self.head.weight.shape))
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        features = self.features(image)
        return self.head(features.flatten(2).mean(2) if self.pool else features)


def test_a_network_that_looks_at_each_pixel_alone_is_consistent_and_one_that_looks_aside_is_not(make_sample, task):
    network, sample = Pointwise(task == "classification").eval(), make_sample(3)
    assert float(attribution_consistency(trace(network, sample.inputs), None, sample)) == pytest.approx(0, abs=1e-6)
    aside = nn.Conv2d(1, 3, (1, 3), padding=(0, 1))
    aside.load_state_dict({"weight": torch.tensor([1.0, 0, 0, 0, -1.0, 0, 2.0, 0, 0]).view(3, 1, 1, 3), "bias": torch.zeros(3)})
    network.features[0] = aside
    assert float(attribution_consistency(trace(network, sample.inputs), None, sample, grid=32)) > 0.01


def test_a_batch_without_any_segmented_region_costs_nothing(make_network, make_sample, task):
    if task == "classification":
        pytest.skip("a classifier always answers")
    network, sample = make_network(0).eval(), make_sample(2)
    network.get_submodule(network.layer_map.head).bias.data[0] += 1e3
    assert float(attribution_consistency(trace(network, sample.inputs), None, sample)) == 0.0
