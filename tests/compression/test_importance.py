"""Importances beside what they predict: a channel is turned down, or off, and the difference is measured."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr

from data_contracts import LossTerm, NetworkSpec
from medkd.compression.channel_groups import find_channel_groups, reading, zero_channels
from medkd.compression.channel_masks import add_masks, set_masks
from medkd.compression.importance import attribution_change, channel_importance, removal_change
from medkd.compression.judging_data import JudgingData
from medkd.distillation.attribution_transfer import attribution_transfer
from medkd.knowledge.source import LiveSource
from medkd.trace import Sample, frozen, layer_map_of, trace
from medkd.training.objective import Objective

SPECS = {
    "classification": NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}),
    "segmentation": NetworkSpec(builder="unet", options={"channels": (4, 6, 8)}),
}
SIZE = (32, 32)


@pytest.fixture
def network(make_network):
    return make_network(1).eval()


@pytest.fixture
def groups(network):
    return find_channel_groups(network, SIZE)


@pytest.fixture
def data(make_network, make_sample):
    teacher = LiveSource(make_network(7).eval())
    terms = (LossTerm(loss="cross_entropy"),)
    return JudgingData((make_sample(4, 0), make_sample(4, 1)), terms, teacher, {"explainer": "cam", "grid": 4})


def compared_with_itself(data, network):
    return replace(data, source=LiveSource(copy.deepcopy(network).eval()))


def turned_down(network, groups, name, channel, factor):
    """Return a copy in which everybody reads a channel with a factor."""
    changed = copy.deepcopy(network)
    (group,) = [group for group in groups if group.name == name]
    for part in group.read:
        module = changed.get_submodule(part.layer)
        with torch.no_grad():
            reading(module, module.weight)[:, part.of(torch.tensor([channel]))] *= factor
    return changed


def transfer(network, data):
    """Return the attribution transfer, mean over the batches."""
    values = []
    with torch.no_grad(), frozen(network):
        for sample in data.samples:
            asked = trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))
            values.append(float(attribution_transfer(asked, data.source.for_batch(sample), sample, **data.transfer).double()))
    return sum(values) / len(values)


def test_magnitude_is_the_norm_of_all_weights_of_a_channel(network, groups):
    found = channel_importance("magnitude", network, groups, None)
    group = groups[0]
    parts = []
    for layer in group.written:
        weight = network.get_submodule(layer.layer).weight
        if weight.ndim > 1:
            axis = 1 if isinstance(network.get_submodule(layer.layer), torch.nn.ConvTranspose2d) else 0
            parts += [weight.select(axis, int(place)).flatten() for place in layer.of(torch.tensor([1]))]
    for layer in group.read:
        axis = 0 if isinstance(network.get_submodule(layer.layer), torch.nn.ConvTranspose2d) else 1
        parts += [network.get_submodule(layer.layer).weight.select(axis, int(place)).flatten() for place in layer.of(torch.tensor([1]))]
    assert float(found[group.name][1]) == pytest.approx(float(torch.cat(parts).norm()), rel=1e-5)
    assert {name: len(worth) for name, worth in found.items()} == {group.name: group.size for group in groups}


def test_taylor_is_what_the_objective_loses_per_bit_of_the_channel(network, groups, data):
    """Difference quotients of the cross entropy, a channel turned down by a thousandth."""
    found = channel_importance("taylor", network, groups, data)
    objective, step = Objective(data.terms), 1e-2
    for group in groups[:3]:
        squares = []
        for sample in data.samples:
            values = []
            for factor in (1 - step, 1 + step):
                changed = turned_down(network, groups, group.name, 0, factor)
                with torch.no_grad(), frozen(changed):
                    values.append(float(objective(trace(changed, sample.inputs), None, sample)[0].double()))
            squares.append(((values[1] - values[0]) / (2 * step)) ** 2)
        assert float(found[group.name][0]) == pytest.approx((sum(squares) / len(squares)) ** 0.5, rel=0.05, abs=2e-4)


@pytest.mark.parametrize("turned", [0.01, 0.3, 1.0])
def test_with_a_map_that_is_linear_in_its_channels_the_formula_is_exact(turned):
    """The channels are parts of a map, turned down by a factor: the cosine of what is left, beside the formula from slopes at the whole."""
    generator = torch.Generator().manual_seed(0)
    parts, other = torch.randn(6, 20, generator=generator).double(), torch.randn(20, generator=generator).double()
    whole, unit = parts.sum(0), other / other.norm()
    cosine, size = float(whole @ unit / whole.norm()), whole.norm()
    scaled = turned * parts
    along, across = (scaled @ whole) / size**2, (scaled @ unit) / size
    found = removal_change(cosine, along * cosine - across, along, scaled.square().sum(1) / size**2)
    left = whole - scaled
    torch.testing.assert_close(found, cosine - left @ unit / left.norm(dim=1))


@pytest.mark.parametrize("task", ["classification"])
def test_channels_that_the_head_alone_reads_are_predicted_exactly(network, groups, data):
    """The head's columns are factors of the class map: what their removal does is no approximation, but for the probes."""
    data = replace(data, samples=(data.samples[0].rows(slice(0, 1)),), probes=300)
    (group,) = [group for group in groups if [part.layer for part in group.read] == [layer_map_of(network).head]]
    for judged in (data, compared_with_itself(data, network)):
        predicted = attribution_change(network, groups, judged)[group.name]
        for channel in range(group.size):
            without = turned_down(network, groups, group.name, channel, 0.0)
            measured = transfer(without, judged) - transfer(network, judged)
            assert float(predicted[channel]) == pytest.approx(measured, abs=0.06)


def test_the_slope_is_that_of_the_attribution_transfer(network, groups, data):
    """A channel turned down and up by a little: the difference quotient of the loss, beside the formula's own slope for so small a step."""
    data = replace(data, samples=(data.samples[0].rows(slice(0, 1)),), probes=8)
    step, found = 0.01, {}
    whole = attribution_change(network, groups, data)
    for group in groups[:3]:
        values = [transfer(turned_down(network, groups, group.name, 1, factor), data) for factor in (1 - step, 1 + step)]
        found[group.name] = (values[0] - values[1]) / (2 * step)
    with pytest.MonkeyPatch.context() as patched:
        # For a small step s the formula is asked for s d instead of d, and divided by s.
        small = 1e-3
        patched.setattr(
            "medkd.compression.importance.removal_change", lambda c, a, q, e: removal_change(c, small * a, small * q, small**2 * e) / small
        )
        slopes = attribution_change(network, groups, data)
    for name, value in found.items():
        assert float(slopes[name][1]) == pytest.approx(value, rel=0.1, abs=3e-3)
    assert any(abs(float(whole[name][1]) - value) > 1e-3 for name, value in found.items())


def test_first_order_alone_is_blind_where_a_network_is_compared_with_itself_and_the_formula_is_not(network, groups, data):
    same = compared_with_itself(data, network)
    seen = attribution_change(network, groups, same)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("medkd.compression.importance.removal_change", lambda *parts: -parts[1])
        blind = attribution_change(network, groups, same)
    assert max(float(worth.abs().max()) for worth in blind.values()) < 1e-4
    assert max(float(worth.max()) for worth in seen.values()) > 1e-2
    assert min(float(worth.min()) for worth in seen.values()) > -1e-6  # nothing agrees better with a map than itself


@pytest.mark.parametrize("itself", [False, True], ids=["another network", "itself"])
def test_it_ranks_channels_as_their_removal_does(network, groups, data, itself):
    """Each channel removed in turn, the agreement of maps measured: what was predicted before, without removing any."""
    data = replace(compared_with_itself(data, network) if itself else data, probes=16)
    predicted, measured, before = [], [], transfer(network, data)
    change = attribution_change(network, groups, data)
    for group in groups:
        for channel in range(group.size):
            without = copy.deepcopy(network)
            zero_channels(without, groups, {group.name: torch.tensor([channel])})
            predicted.append(float(change[group.name][channel]))
            measured.append(transfer(without, data) - before)
    assert spearmanr(predicted, measured).statistic > 0.6


def test_attribution_adds_the_task_in_units_of_its_mean(network, groups, data):
    both, task = (channel_importance(kind, network, groups, data) for kind in ("attribution", "taylor"))
    change = attribution_change(network, groups, data)
    units = [float(torch.cat([value.abs() for value in found.values()]).mean()) for found in (task, change)]
    name = groups[0].name
    assert float(min(worth.min() for worth in change.values())) < 0 <= float(min(worth.min() for worth in both.values()))
    torch.testing.assert_close(both[name], task[name] / units[0] + change[name].abs() / units[1])


@pytest.mark.parametrize("kind", ["taylor", "attribution"])
def test_judging_changes_nothing_and_gives_the_same_again(network, groups, data, kind):
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    network.train()
    first = channel_importance(kind, network, groups, data)
    second = channel_importance(kind, network, groups, data)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_masked_channel_is_judged_by_what_its_return_would_change(network, groups, data):
    """With a mask the gate is at 0, and the slope there is asked: a difference quotient of the return."""
    name, step = groups[0].name, 1e-2
    add_masks(network, groups)
    off = {group.name: torch.tensor([0] if group.name == name else [], dtype=torch.int64) for group in groups}
    whole = copy.deepcopy(network)
    set_masks(network, groups, off)
    found = channel_importance("taylor", network, groups, replace(data, samples=data.samples[:1]))
    objective, sample, values = Objective(data.terms), data.samples[0], []
    for factor in (-step, step):
        changed = copy.deepcopy(whole)
        for part in groups[0].read:
            mask = changed.get_submodule(part.layer).parametrizations.weight[0]
            mask.kept[part.of(torch.tensor([0]))] = factor
        with torch.no_grad(), frozen(changed):
            values.append(float(objective(trace(changed, sample.inputs), None, sample)[0].double()))
    assert float(found[name][0]) == pytest.approx(abs(values[1] - values[0]) / (2 * step), rel=0.05, abs=2e-4)


def test_without_cases_only_weights_can_be_judged(network, groups):
    with pytest.raises(ValueError, match="to judge channels by taylor"):
        channel_importance("taylor", network, groups, None)
    assert isinstance(Sample, type)


@pytest.mark.parametrize("kind", ["taylor", "attribution"])
def test_a_network_that_lies_channels_last_is_judged_alike_and_stays_so(network, groups, data, kind):
    """As it lies while it trains by bf16; backward on it as it is corrupts the heap on processors with AVX512."""
    wanted = channel_importance(kind, network, groups, data)
    flat = copy.deepcopy(network).to(memory_format=torch.channels_last)
    found = channel_importance(kind, flat, groups, data)
    for name, worth in wanted.items():
        torch.testing.assert_close(found[name], worth, rtol=1e-4, atol=1e-7)
    weights = [one for one in flat.parameters() if one.ndim == 4 and one.shape[1] > 1 and one.shape[2] > 1]
    assert weights
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in weights)
