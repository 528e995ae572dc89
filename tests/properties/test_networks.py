"""Properties that every network of the catalogue keeps."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch

from data_contracts import NetworkSpec
from medkd.catalogue import NETWORKS
from medkd.models._build import build_network
from medkd.trace import layer_map_of, trace

NAMES = NETWORKS.names()


@pytest.fixture(params=NAMES)
def entry(request):
    return NETWORKS.entry(request.param)


@pytest.fixture(params=[2, 3])
def spec(request, entry):
    return NetworkSpec(builder=entry.name, out_channels=3, spatial_dims=request.param)


def image_for(spec, n=2):
    return torch.randn(n, spec.in_channels, *(32,) * spec.spatial_dims, generator=torch.Generator().manual_seed(5))


def test_a_network_declares_tasks_and_source(entry):
    assert entry.fact("TASKS") <= {"classification", "segmentation", "detection"}
    assert entry.fact("SOURCE")


def test_logits_have_one_channel_per_class(spec, entry):
    logits = build_network(spec).eval()(image_for(spec))
    cells = 8 if entry.fact("TASKS") == {"detection"} else 32  # of four voxels, where nothing else is asked
    assert logits.shape == ((2, 3) if entry.fact("TASKS") == {"classification"} else (2, 3, *(cells,) * spec.spatial_dims))


def test_no_activation_works_in_place(spec):
    assert not any(getattr(module, "inplace", False) for module in build_network(spec).modules())


def test_every_named_tap_exists_and_is_reached(spec):
    network = build_network(spec).eval()
    layer_map = layer_map_of(network)
    layers = (*layer_map.feature_layers, layer_map.cam_layer, *layer_map.encoder_blocks())
    kept = trace(network, image_for(spec), layers=layers)
    assert set(kept.features) == set(layers)
    assert len({value.data_ptr() for value in kept.features.values()}) == len(set(layers))


def test_the_head_is_linear_so_that_class_maps_are_closed_form(spec):
    network = build_network(spec).eval()
    kept = trace(network, image_for(spec), layers=(layer_map_of(network).cam_layer,))
    assert kept.head_weight().shape == (3, kept.feature(layer_map_of(network).cam_layer).shape[1])


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator(spec):
    before = torch.get_rng_state()
    first, second, other = build_network(spec, seed=1), build_network(spec, seed=1), build_network(spec, seed=2)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.state_dict().values(), other.state_dict().values(), strict=True))


def test_weights_survive_a_round_trip_through_safetensors(spec):
    first, second = build_network(spec, seed=1).eval(), build_network(spec, seed=2).eval()
    second.load_state_dict(safetensors.torch.load(safetensors.torch.save(first.state_dict())))
    image = image_for(spec)
    with torch.no_grad():
        assert torch.equal(first(image), second(image))


def test_evaluation_is_deterministic_and_cases_are_independent(spec):
    network, image = build_network(spec).eval(), image_for(spec)
    with torch.no_grad():
        torch.testing.assert_close(network(image)[:1], network(image[:1]), atol=1e-5, rtol=1e-4)
        assert torch.equal(network(image), network(image))


def test_every_parameter_gets_a_gradient(spec):
    network = build_network(spec).train()
    answers = trace(network, image_for(spec)).outputs.values()  # those of further heads too
    sum(answer.square().sum() for answer in answers).backward()
    assert all(p.grad is not None for p in network.parameters())
