from __future__ import annotations

import pytest
import torch
from torch import nn

from data_contracts import ExplanationError
from medkd.trace import LayerMap, forked_rng, frozen, has_closed_form, layer_map_of, running_statistics, trace


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)
        self.layer_map = LayerMap(feature_layers=("first", "second"), cam_layer="first", head="second")

    def forward(self, image):
        self.first(image)
        raise RuntimeError("on purpose")


def hooks(network):
    return sum(len(module._forward_hooks) for module in network.modules())


def test_nothing_is_kept_unless_asked_for(make_network, make_sample):
    assert trace(make_network(), make_sample(1).image).features == {}


def test_tapped_features_are_those_of_the_pass(make_network, make_sample):
    network, image = make_network().eval(), make_sample(2).image
    layer = layer_map_of(network).cam_layer
    kept = trace(network, image, layers=(layer,))
    assert torch.equal(kept.logits, network(image))
    assert kept.feature(layer).requires_grad


def test_hooks_are_removed_when_the_network_raises():
    network = Broken()
    with pytest.raises(RuntimeError, match="on purpose"):
        trace(network, torch.zeros(1, 1, 2, 2), layers=("first",))
    assert hooks(network) == 0


def test_a_layer_that_is_not_reached_is_an_error(make_network, make_sample):
    network = make_network()
    network.add_module("attic", nn.Identity())
    with pytest.raises(ExplanationError) as caught:
        trace(network, make_sample(1).image, layers=("attic",))
    assert caught.value.code == "LAYER_SILENT"
    assert hooks(network) == 0


def test_an_unknown_layer_is_an_error_before_the_pass(make_network, make_sample):
    with pytest.raises(ExplanationError) as caught:
        trace(make_network(), make_sample(1).image, layers=("nowhere",))
    assert caught.value.code == "LAYER_UNKNOWN"


def test_the_leaf_begins_the_graph(make_network, make_sample):
    network, sample = make_network().eval(), make_sample(1)
    image = sample.image.requires_grad_()
    layer = layer_map_of(network).cam_layer
    kept = trace(network, image, leaf=layer)
    kept.logits.sum().backward()
    assert image.grad is None
    assert kept.feature(layer).grad is not None


def test_frozen_restores_each_submodule_and_each_flag_on_exceptions_too(make_network):
    network = make_network().train()
    part = next(module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    part.eval()
    first = next(network.parameters())
    first.requires_grad_(False)
    with pytest.raises(ValueError, match="x"), frozen(network):  # noqa: PT012
        assert not any(p.requires_grad for p in network.parameters())
        assert not network.training
        raise ValueError("x")
    assert network.training
    assert not part.training
    assert not first.requires_grad
    assert sum(p.requires_grad for p in network.parameters()) == len(list(network.parameters())) - 1


def test_running_statistics_keep_gradients(make_network, make_sample):
    network, image = make_network().train(), make_sample(2).image
    before = {name: value.clone() for name, value in network.named_buffers()}
    with running_statistics(network):
        network(image).sum().backward()
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert any(p.grad is not None for p in network.parameters())


def test_a_forked_generator_leaves_the_global_one():
    before = torch.get_rng_state()
    with forked_rng(3):
        first = torch.rand(3)
    with forked_rng(3):
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(before, torch.get_rng_state())


def test_a_network_without_anatomy_is_refused():
    with pytest.raises(ExplanationError) as caught:
        layer_map_of(nn.Linear(1, 1))
    assert caught.value.code == "ANATOMY_MISSING"


@pytest.mark.parametrize(
    ("head", "closed"), [(nn.Conv2d(2, 2, 1), True), (nn.Linear(2, 2), True), (nn.Conv2d(2, 2, 3), False), (nn.ReLU(), False)]
)
def test_class_maps_are_in_closed_form_where_the_head_is_linear_and_one_cell_wide(head, closed):
    network = Broken()
    network.second = head
    assert has_closed_form(network) is closed


def test_last_and_encoder_stand_for_layers_whatever_they_are_called():
    named = LayerMap(("a", "b"), "b", "head", encoder=("x", "y"))
    assert [named.resolve(layer) for layer in ("last", "encoder", "a")] == ["b", "y", "a"]
    assert LayerMap(("a", "b", "c"), "c", "head").encoder_blocks() == ("a", "b")
    with pytest.raises(ExplanationError, match="encoder blocks"):
        LayerMap(("a",), "a", "head").resolve("encoder")


def test_what_each_module_is_handed_is_seen_before_it_answers():
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    seen = []
    image = torch.ones(1, 2)
    trace(network, image, on_input=lambda module, given: seen.append((type(module).__name__, given.shape[1])))
    assert seen == [("Linear", 2), ("ReLU", 3)]
    assert not any(module._forward_hooks for module in network.modules())
