from __future__ import annotations

import pytest
import torch
from torch import nn

from data_contracts import ExplanationError, NetworkSpec
from medkd.attribution._attribute import attribute
from medkd.attribution.cam import cam
from medkd.models._build import build_network
from medkd.targets import class_logit, class_margin, lesion_margin
from medkd.trace import LayerMap, trace


class Pooled(nn.Module):
    """Features are the image's own channels, so that the class map can be written down by hand."""

    def __init__(self, weight):
        super().__init__()
        self.features = nn.Identity()
        self.head = nn.Linear(weight.shape[1], weight.shape[0])
        self.head.weight.data = weight
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        return self.head(self.features(image).mean((2, 3)))


def test_the_map_is_weight_times_feature_over_cells():
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    image = torch.arange(2 * 4.0).reshape(1, 2, 2, 2)
    kept = trace(Pooled(weight), image, layers=("features",))
    by_hand = (0.5 * image[:, 0] + 3.0 * image[:, 1]) / 4
    torch.testing.assert_close(cam(kept, class_logit(1)), by_hand)


def test_the_map_sums_to_the_score_less_the_bias():
    network = Pooled(torch.randn(3, 5, generator=torch.Generator().manual_seed(0)))
    kept = trace(network, torch.randn(2, 5, 6, 6, generator=torch.Generator().manual_seed(1)), layers=("features",))
    scores = kept.logits[:, 2] - network.head.bias[2]
    torch.testing.assert_close(cam(kept, class_logit(2)).flatten(1).sum(1), scores.detach())


def test_a_margin_does_not_see_what_all_classes_share():
    weight = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    image = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    shared = torch.full((1, 4), 7.0)
    plain, shifted = (cam(trace(Pooled(w), image, layers=("features",)), class_margin(1)) for w in (weight, weight + shared))
    torch.testing.assert_close(plain, shifted, atol=1e-5, rtol=1e-4)


def test_it_equals_grad_cam_of_the_last_features_before_the_rectifier(make_network, make_sample, task):
    network, sample = make_network().eval(), make_sample(2)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    first, second = (attribute(network, sample.image, target, explainer=name) for name in ("cam", "grad_cam"))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-3)


def test_a_three_dimensional_network_has_a_three_dimensional_map():
    network = build_network(NetworkSpec(builder="resnet", spatial_dims=3, options={"channels": (2, 2, 2, 4)})).eval()
    assert attribute(network, torch.rand(1, 1, 16, 16, 16), class_logit(0), explainer="cam").shape == (1, 16, 16, 16)


def test_a_layer_that_was_not_tapped_is_an_error(make_network, make_sample):
    with pytest.raises(ExplanationError) as caught:
        cam(trace(make_network(), make_sample(1).image), class_logit(0))
    assert caught.value.code == "LAYER_NOT_TAPPED"


@pytest.mark.parametrize(
    ("grid", "shape", "cells"), [((8, 8), (64, 64), 8), ((5, 7), (33, 40), 6), ((4, 6, 5), (9, 24, 20), 8), ((16, 16), (16, 16), 4)]
)
def test_a_coarse_map_is_the_average_of_the_fine_one(grid, shape, cells):
    from torch.nn import functional

    from medkd.attribution._grid import resize_map, resize_to_cells

    found = torch.randn(2, *grid, generator=torch.Generator().manual_seed(0))
    pool = functional.adaptive_avg_pool2d if len(grid) == 2 else functional.adaptive_avg_pool3d
    expected = pool(resize_map(found, shape)[:, None], [min(cells, e) for e in shape])[:, 0]
    torch.testing.assert_close(resize_to_cells(found, shape, cells), expected, atol=1e-5, rtol=1e-5)
