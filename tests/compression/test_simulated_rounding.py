"""Rounding against its formula in numpy, gradients that go straight through, and networks that are what they were afterwards."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import NetworkSpec
from medkd.compression.simulated_rounding import end_rounding, round_input, round_weight, simulate_rounding
from medkd.models._build import build_network
from medkd.trace import layer_map_of, trace

SPECS = [
    NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}),
    NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 8, 8)}),
]


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.5, 2.0), (-3.0, -1.0)])
def test_inputs_are_rounded_as_the_formula_says(low, high):
    values = torch.linspace(-4, 4, 501)
    found = round_input(values, torch.tensor(low), torch.tensor(high))
    bottom, top = min(low, 0.0), max(high, 0.0)
    scale = np.float32((top - bottom) / 255)
    zero = np.round(-bottom / scale)
    expected = scale * (np.clip(np.round(values.numpy() / scale) + zero, 0, 255) - zero)
    np.testing.assert_allclose(found.numpy(), expected, atol=scale * 1.01)  # a half may be rounded either way
    assert (np.abs(found.numpy() - expected) > scale / 2).mean() < 0.01
    assert round_input(torch.zeros(1), torch.tensor(low), torch.tensor(high)).item() == 0.0  # padding stays what it is
    assert len(found.unique()) <= 256


def test_weights_are_rounded_per_channel_out():
    weight = torch.tensor([[1.0, -0.5, 0.004], [100.0, 1.0, -50.2]])
    found = round_weight(weight, 0)
    scale = np.array([[1 / 127], [100 / 127]], dtype=np.float32)
    np.testing.assert_allclose(found.numpy(), scale * np.round(weight.numpy() / scale), rtol=1e-6)
    assert found[1, 0] == 100.0  # the largest of a channel is hit


def test_gradients_are_one_inside_the_range_and_nothing_outside():
    values = torch.tensor([-2.0, 0.3, 5.0], requires_grad=True)
    round_input(values, torch.tensor(-1.0), torch.tensor(1.0)).sum().backward()
    assert values.grad.tolist() == [0.0, 1.0, 0.0]
    weight = torch.tensor([[0.7, -0.2]], requires_grad=True)
    round_weight(weight, 0).sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("spec", SPECS, ids=["resnet", "unet"])
def test_a_network_rounds_while_it_trains_and_is_what_it_was_afterwards(spec):
    plain = build_network(spec, seed=0).eval()
    image = torch.randn(2, 1, *(16,) * spec.spatial_dims, generator=torch.Generator().manual_seed(0))
    rounding = simulate_rounding(copy.deepcopy(plain))
    assert list(rounding.state_dict()) == list(plain.state_dict())
    assert layer_map_of(rounding) == layer_map_of(plain)
    rounding.train()(image).square().mean().backward()
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in rounding.parameters())
    answer = rounding.eval()(image)
    kept = copy.deepcopy(rounding)
    torch.testing.assert_close(kept(image), answer)
    after = end_rounding(rounding)
    assert not torch.equal(after(image), answer)
    assert [type(one) for one in after.modules()] == [type(one) for one in plain.modules()]
    for own, other in zip(after.parameters(), plain.parameters(), strict=True):
        assert torch.equal(own, other)
    assert trace(after, image, layers=(layer_map_of(after).cam_layer,)).logits.shape == answer.shape


def test_ranges_are_of_what_layers_saw_while_they_trained():
    layer = simulate_rounding(nn.Sequential(nn.Linear(2, 1))).train()
    layer(torch.tensor([[-1.0, 3.0]]))
    assert (layer[0].range_low.item(), layer[0].range_high.item()) == (-1.0, 3.0)
    layer(torch.tensor([[-2.0, 3.0]]))
    assert layer[0].range_low.item() == pytest.approx(-1.1)
    layer.eval()(torch.tensor([[-90.0, 3.0]]))
    assert layer[0].range_low.item() == pytest.approx(-1.1)


def test_transposed_convolutions_round_per_channel_out_too():
    layer = nn.ConvTranspose2d(1, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[[1.0]], [[100.0]]]]))
    rounding = simulate_rounding(nn.Sequential(layer)).train()
    assert rounding(torch.ones(1, 1, 1, 1)).flatten().tolist() == pytest.approx([1.0, 100.0], rel=1e-5)
