"""Networks that do not see the same: each is shown all that there is, and picks its own channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from data_contracts import Checkpoint, Task
from medkd.models._load import load_network
from medkd.storage.workspace import Workspace
from medkd.trace import LayerMap, layer_map_of, with_layer_map

_INNER = "network"


class PicksInputs(nn.Module):
    """A network that is shown more channels than it sees.

    Args:
        network: with a layer map.
        places: of its channels among those that are shown.
    """

    def __init__(self, network: nn.Module, places: Sequence[int]) -> None:
        super().__init__()
        self.network, self.places = network, list(places)

    def forward(self, image: Tensor) -> Any:
        """Return what the network answers about its own channels of an image [batch, channel, *space]."""
        return self.network(image[:, self.places])


def picking(network: nn.Module, own: Task, shown: Task) -> nn.Module:
    """Return a network of one task as it answers where another's inputs are shown; the network itself where both see the same.

    Raises:
        DataError: ``TASK_INPUTS`` when it needs what is not shown.
    """
    places = own.places_in(shown)
    if places == tuple(range(shown.in_channels)):
        return network
    return with_layer_map(PicksInputs(network, places), _named_within(layer_map_of(network)))


def picked(network: nn.Module) -> nn.Module:
    """Return the network that sees its own inputs alone: what is kept of a trained one."""
    return network.network if isinstance(network, PicksInputs) else network


def load_shown(workspace: Workspace, checkpoint: Checkpoint, shown: Task) -> nn.Module:
    """Return the network of a checkpoint, verified and in eval mode, where a task's inputs are shown."""
    return picking(load_network(workspace, checkpoint), checkpoint.task, shown).eval()


def _named_within(inner: LayerMap) -> LayerMap:
    def named(layers: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{_INNER}.{layer}" for layer in layers)

    return replace(
        inner,
        feature_layers=named(inner.feature_layers),
        cam_layer=f"{_INNER}.{inner.cam_layer}",
        head=f"{_INNER}.{inner.head}",
        deep_heads=named(inner.deep_heads),
        attention=named(inner.attention),
        encoder=named(inner.encoder),
        other_heads={name: f"{_INNER}.{layer}" for name, layer in inner.other_heads.items()},
        other_cam_layers={name: f"{_INNER}.{layer}" for name, layer in inner.other_cam_layers.items()},
    )
