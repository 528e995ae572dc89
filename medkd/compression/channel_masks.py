"""Channels that are switched off while a network trains and may come back: dynamic pruning with feedback (Lin et al. 2020, 2006.07253).

The forward pass reads a masked channel as zero; the gradient passes the mask as if it were not there, so that the weights of what is switched off go on
learning and their importance can rise again. Masks are buffers: they lie in the training state, and an interrupted run goes on with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from medkd.compression.channel_groups import ChannelGroup, remove_channels
from medkd.models._widths import TRANSPOSED


class ChannelMask(nn.Module):
    """Zeroes the columns of a weight by which some channels are read.

    Args:
        module: layer that reads them; how many channels it has, and along which axis, follows from it.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        weight = cast(Tensor, module.weight)
        self.axis = 0 if isinstance(module, TRANSPOSED) else 1
        self.kept: Tensor
        self.register_buffer("kept", torch.ones(weight.shape[self.axis], device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight; its gradient is the gradient of the whole one."""
        shape = [1] * weight.ndim
        shape[self.axis] = -1
        # A difference that carries no gradient: exactly zero where a channel is kept, exactly the weight where it is not.
        return weight + (weight * self.kept.view(shape) - weight).detach()


def add_masks(network: nn.Module, groups: Sequence[ChannelGroup]) -> nn.Module:
    """Put a mask, of ones, before every layer that reads a channel of a group; in place."""
    for layer in sorted({part.layer for group in groups for part in group.read}):
        module = network.get_submodule(layer)
        parametrize.register_parametrization(module, "weight", ChannelMask(module))
    return network


def set_masks(network: nn.Module, groups: Sequence[ChannelGroup], removed: Mapping[str, Tensor]) -> None:
    """Switch off these channels, int64 by the group's name, and switch on all others; in place."""
    for mask in _masks(network, groups).values():
        mask.kept.fill_(1.0)
    for group in groups:
        for part in group.read:
            mask = _mask_of(network.get_submodule(part.layer))
            mask.kept[part.of(removed[group.name]).to(mask.kept.device)] = 0.0


def masked_channels(network: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
    """Return the channels that are switched off, int64 by the group's name."""
    found = {}
    for group in groups:
        part = group.read[0]
        gone = _mask_of(network.get_submodule(part.layer)).kept.cpu()[part.places] == 0
        found[group.name] = part.channels[gone].unique()
    return found


def remove_masked(network: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, tuple[int, int]]:
    """Take the channels out that are switched off, and all masks; in place. The network answers as it did.

    Returns:
        The channels in and out of every layer that lost some, by name.
    """
    removed = masked_channels(network, groups)
    for layer in _masks(network, groups):
        parametrize.remove_parametrizations(network.get_submodule(layer), "weight", leave_parametrized=False)
    return remove_channels(network, groups, removed)


def dense_weight(module: nn.Module) -> Tensor:
    """Return the parameter that a layer learns, the masked channels included."""
    if parametrize.is_parametrized(module, "weight"):
        return cast(Tensor, module.parametrizations.weight.original)  # type: ignore[union-attr]
    return cast(Tensor, module.weight)


def _mask_of(module: nn.Module) -> ChannelMask:
    return cast(ChannelMask, module.parametrizations.weight[0])  # type: ignore[union-attr, index]


def _masks(network: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, ChannelMask]:
    return {part.layer: _mask_of(network.get_submodule(part.layer)) for group in groups for part in group.read}
