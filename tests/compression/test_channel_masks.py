from __future__ import annotations

import copy

import pytest
import torch

from data_contracts import NetworkSpec
from medkd.compression.channel_groups import find_channel_groups, zero_channels
from medkd.compression.channel_masks import add_masks, dense_weight, masked_channels, remove_masked, set_masks
from medkd.models._build import build_network

SPECS = {
    "classification": NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}),
    "segmentation": NetworkSpec(builder="unet", options={"channels": (4, 6, 8)}),
}


@pytest.fixture
def network(task):
    return build_network(SPECS[task], seed=1).eval()


@pytest.fixture
def groups(network):
    return find_channel_groups(network, (16, 16))


@pytest.fixture
def halves(groups):
    return {group.name: torch.arange(1, group.size, 2) for group in groups}


IMAGE = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(4))


def test_a_masked_network_answers_as_if_the_channels_were_zero_and_without_a_mask_as_before(network, groups, halves):
    whole, zeroed = copy.deepcopy(network), copy.deepcopy(network)
    zero_channels(zeroed, groups, halves)
    add_masks(network, groups)
    with torch.no_grad():
        assert torch.equal(network(IMAGE), whole(IMAGE))
        set_masks(network, groups, halves)
        torch.testing.assert_close(network(IMAGE), zeroed(IMAGE))
        assert {name: found.tolist() for name, found in masked_channels(network, groups).items()} == {
            name: gone.tolist() for name, gone in halves.items()
        }
        set_masks(network, groups, {name: gone[:0] for name, gone in halves.items()})
        assert torch.equal(network(IMAGE), whole(IMAGE))  # what was off is on again, its weights never lost


def test_weights_of_a_channel_that_is_off_go_on_learning(network, groups, halves):
    add_masks(network, groups)
    set_masks(network, groups, halves)
    network(IMAGE).square().sum().backward()
    part = groups[0].read[0]
    gradient = dense_weight(network.get_submodule(part.layer)).grad
    columns = gradient.transpose(0, 1) if isinstance(network.get_submodule(part.layer), torch.nn.ConvTranspose2d) else gradient
    assert float(columns[:, part.of(halves[groups[0].name])].abs().max()) > 0


def test_masks_lie_in_the_state_and_come_back_with_it(network, groups, halves):
    fresh = add_masks(copy.deepcopy(network), groups)
    add_masks(network, groups)
    set_masks(network, groups, halves)
    fresh.load_state_dict(network.state_dict())
    found = masked_channels(fresh, groups)
    assert all(torch.equal(found[name], gone) for name, gone in halves.items())


def test_what_is_off_at_the_end_is_removed_and_the_answer_stays(network, groups, halves, task):
    add_masks(network, groups)
    set_masks(network, groups, halves)
    with torch.no_grad():
        wanted = network(IMAGE)
        widths = remove_masked(network, groups)
        torch.testing.assert_close(network(IMAGE), wanted, atol=1e-6, rtol=1e-4)
    again = build_network(SPECS[task].model_copy(update={"layer_widths": widths})).eval()
    again.load_state_dict(network.state_dict())  # strict: nothing of the masks is left
    assert torch.equal(again(IMAGE), network(IMAGE))
