"""A network with other classes than a task's: classes that merge to one, or are dropped, as part of the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medkd.models._widths import WITH_CHANNELS, keep_channels
from medkd.trace import LayerMap, has_closed_form, layer_map_of, with_layer_map


class MergedClasses(nn.Module):
    """A network whose classes are summed up: log of the summed probabilities of a group. It has no linear head, and so no closed-form map."""

    def __init__(self, network: nn.Module, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.network, self.merged = network, nn.Identity()
        self.groups = tuple(tuple(group) for group in groups)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, groups, *space]."""
        logits = self.network(image)
        return torch.stack([logits[:, list(group)].logsumexp(1) for group in self.groups], 1)


def with_merged_classes(network: nn.Module, groups: Sequence[Sequence[int]]) -> nn.Module:
    """Return a network that answers in groups of its classes; without groups the network itself.

    Where every group is one class, rows of a linear head are chosen: its class map stays closed-form. Classes of no group share nothing.

    Args:
        network: with a layer map.
        groups: places of its classes, for each class that is answered in.
    """
    if not groups:
        return network
    layer_map = layer_map_of(network)
    head = network.get_submodule(layer_map.head)
    if all(len(group) == 1 for group in groups) and has_closed_form(network) and isinstance(head, WITH_CHANNELS):
        keep_channels(head, None, torch.tensor([group[0] for group in groups]))
        return network
    inner = tuple(f"network.{layer}" for layer in layer_map.feature_layers)
    merged = LayerMap(feature_layers=inner, cam_layer=f"network.{layer_map.cam_layer}", head="merged")
    return with_layer_map(MergedClasses(network, groups), merged)
