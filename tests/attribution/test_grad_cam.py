from __future__ import annotations

import pytest
import torch
from captum.attr import LayerGradCam

from data_contracts import ExplanationError
from medkd.attribution.grad_cam import grad_cam
from medkd.targets import class_logit, class_margin
from medkd.trace import frozen, trace

TASK = "classification"


@pytest.fixture
def task():
    return TASK


@pytest.mark.parametrize("layer", ["layer2", "layer3", "layer4"])
def test_it_is_captums_layer_grad_cam(make_network, make_sample, layer):
    network, image = make_network().eval(), make_sample(2).image
    student_values = grad_cam(trace(network, image), class_logit(1), layer=layer)
    with frozen(network):
        reference = LayerGradCam(network, network.get_submodule(layer)).attribute(image, target=1, relu_attributions=False)
    resized = torch.nn.functional.interpolate(reference, size=(32, 32), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(student_values, resized.detach(), atol=1e-6, rtol=1e-5)


def test_rectified_maps_keep_positive_values_only(make_network, make_sample):
    network, image = make_network().eval(), make_sample(2).image
    signed, rectified = (grad_cam(trace(network, image), class_margin(1), rectify=flag) for flag in (False, True))
    assert float(rectified.min()) >= 0
    assert float(signed.min()) < 0 or torch.allclose(signed, rectified)


def test_nothing_is_recorded_below_the_leaf(make_network, make_sample):
    network, image = make_network().eval(), make_sample(1).image.requires_grad_()
    grad_cam(trace(network, image), class_logit(0))
    assert image.grad is None
    assert all(p.grad is None for p in network.parameters())


def test_a_differentiable_map_needs_a_graph(make_network, make_sample):
    network = make_network().eval()
    with torch.no_grad():
        kept = trace(network, make_sample(1).image, layers=("layer4",))
    with pytest.raises(ExplanationError) as caught:
        grad_cam(kept, class_logit(0), differentiable=True)
    assert caught.value.code == "GRAPH_MISSING"


def test_an_unknown_layer_is_named_with_the_taps(make_network, make_sample):
    network = make_network().eval()
    with pytest.raises(ExplanationError, match="layer4") as caught:
        grad_cam(trace(network, make_sample(1).image), class_logit(0), layer="nowhere")
    assert caught.value.code == "LAYER_UNKNOWN"
