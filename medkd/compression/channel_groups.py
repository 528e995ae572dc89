"""Which channels of a network hang together: one that is taken out must go from every layer that writes or reads it (Fang et al. 2023, 2301.12900)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import CompressionError, MissingDependencyError
from medkd.models._widths import CONVOLUTIONS, TRANSPOSED, WITH_CHANNELS, keep_channels, widths_of
from medkd.trace import forked_rng, frozen, layer_map_of, trace

#: Largest difference of a logit between a network whose channels were removed and one where nobody reads them, as a share of the largest.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class LayerChannels:
    """The part that one layer has in a group.

    Attributes:
        layer: its name in the network.
        places: int64 [n], channels of the layer.
        channels: int64 [n], which channel of the group each of them belongs to.
    """

    layer: str
    places: Tensor
    channels: Tensor

    def of(self, removed: Tensor) -> Tensor:
        """Return the layer's channels, int64, that belong to some channels of the group."""
        return self.places[torch.isin(self.channels, removed)]


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that exist as one: written by some layers (and normalised on the way), added up by shortcuts, read by others.

    Attributes:
        name: the layer that the group was found from; it stays the same when channels are removed.
        size: its channels.
        written: layers whose channels out they are.
        read: layers whose channels in they are. A channel whose columns there are zero might as well not be there.
    """

    name: str
    size: int
    written: tuple[LayerChannels, ...]
    read: tuple[LayerChannels, ...]


def find_channel_groups(network: nn.Module, image_size: Sequence[int], images: int = 1) -> tuple[ChannelGroup, ...]:
    """Return the groups of channels that can be taken out of a network; classes and the images are never among them.

    Nothing of the network changes. What torch-pruning finds is not taken on faith: on a copy half of each group is removed, and the logits must be
    those of the network with the same channels set to zero; a group for which that does not hold is left out.

    Args:
        network: with a layer map.
        image_size: voxels along each axis of an image that it answers.
        images: that it sees of a case, each a channel of its input.

    Raises:
        MissingDependencyError: ``PRUNING_LIBRARY`` without torch-pruning.
        CompressionError: ``NOT_PRUNABLE`` with the reason when no group is left.
    """
    with forked_rng(0):
        image = torch.randn(2, images, *image_size)
    parameter = next(network.parameters())
    groups = _groups(copy.deepcopy(network), image[:1].to(parameter.device))
    halves = {group.name: torch.arange(group.size // 2) for group in groups}
    image = image.to(parameter.device)
    if groups and removal_is_exact(network, groups, halves, image):
        return groups
    kept = tuple(group for group in groups if removal_is_exact(network, (group,), halves, image))
    if not kept:
        raise CompressionError("NOT_PRUNABLE", f"expected channels that can be removed from a {type(network).__name__}, {_reason(network)}")
    return kept


def removal_is_exact(network: nn.Module, groups: Sequence[ChannelGroup], removed: Mapping[str, Tensor], image: Tensor) -> bool:
    """Return whether removing channels gives the logits of the network in which nobody reads them; False also where removing breaks it."""
    zeroed, smaller = copy.deepcopy(network), copy.deepcopy(network)
    try:
        zero_channels(zeroed, groups, removed)
        remove_channels(smaller, groups, removed)
        wanted, found = (_answers(one, image) for one in (zeroed, smaller))
    except Exception:  # shapes that do not fit fail in any way, deep within the network
        return False
    pairs = list(zip(wanted, found, strict=True))
    return all(a.shape == b.shape and float((a - b).abs().max()) <= TOLERANCE * max(1e-6, float(a.abs().max())) for a, b in pairs)


def remove_channels(network: nn.Module, groups: Sequence[ChannelGroup], removed: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Take channels out of a network, in place, and return the channels in and out of every layer that lost some.

    Args:
        network: that the groups were found in.
        groups: of :func:`find_channel_groups`.
        removed: by name of the group, int64: its channels that go.
    """
    sides: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
    for group in groups:
        for side, parts in enumerate((group.read, group.written)):
            for part in parts:
                sides.setdefault(part.layer, ([], []))[side].append(part.of(removed.get(group.name, _NONE)))
    changed = {}
    for layer, (inputs, outputs) in sides.items():
        module = network.get_submodule(layer)
        before = widths_of(module)
        keep_channels(module, *(_left(width, gone) for width, gone in zip(before, (inputs, outputs), strict=True)))
        if widths_of(module) != before:
            changed[layer] = widths_of(module)
    return changed


def zero_channels(network: nn.Module, groups: Sequence[ChannelGroup], removed: Mapping[str, Tensor]) -> None:
    """Set the weights to zero, in place, by which some channels are read: the network then answers as if they were not there."""
    for group in groups:
        for part in group.read:
            weight = network.get_submodule(part.layer).weight
            gone = part.of(removed.get(group.name, _NONE))
            with torch.no_grad():
                reading(network.get_submodule(part.layer), weight)[:, gone] = 0.0  # type: ignore[arg-type]


_NONE = torch.empty(0, dtype=torch.int64)


def reading(module: nn.Module, weight: Tensor) -> Tensor:
    """Return a view of a layer's weight, or of its gradient, as [out, in, *kernel]; transposed convolutions hold theirs the other way round."""
    return weight.transpose(0, 1) if isinstance(module, TRANSPOSED) else weight


def _left(width: int, gone: list[Tensor]) -> Tensor | None:
    lost = torch.cat(gone) if gone else _NONE
    return None if not len(lost) else torch.arange(width)[~torch.isin(torch.arange(width), lost)]


def _answers(network: nn.Module, image: Tensor) -> list[Tensor]:
    """Return the logits of all heads, the finest first."""
    with torch.no_grad(), frozen(network):
        return [answer.float() for answer in _heads(network, image)]


def _heads(network: nn.Module, image: Tensor) -> list[Tensor]:
    coarse = layer_map_of(network).deep_heads
    asked = trace(network, image, layers=coarse)
    return [asked.logits, *(asked.feature(name) for name in coarse)]


def _groups(network: nn.Module, image: Tensor) -> tuple[ChannelGroup, ...]:
    """Return the groups that the library finds whose layers are all of kinds that can lose channels; none where it cannot follow the network."""
    pruning = _library()
    layer_map, names = layer_map_of(network), {module: name for name, module in network.named_modules()}
    kept = [network.get_submodule(name) for name in (layer_map.head, *layer_map.deep_heads)]
    network.eval().requires_grad_(True)
    try:
        with warnings.catch_warnings():
            # It warns of parameters outside of layers; groups with such a one are left out below.
            warnings.simplefilter("ignore")
            # Heads at coarser levels put their logits out on the side: without them nobody would seem to read what they read.
            graph = pruning.DependencyGraph().build_dependency(network, example_inputs=image, forward_fn=_heads)
            found = list(graph.get_all_groups(ignored_layers=kept, root_module_types=(*CONVOLUTIONS, *TRANSPOSED, nn.Linear)))
    except Exception:  # the graph breaks in any way on layers that the library does not know (issue 387 of torch-pruning)
        return ()
    groups = (_group(graph, one, names) for one in found)
    return tuple(sorted((group for group in groups if group is not None), key=lambda group: group.name))


def _group(graph: Any, found: Any, names: Mapping[nn.Module, str]) -> ChannelGroup | None:
    """Return a group as plain indices; None where a layer of another kind, or a split convolution, is part of it."""
    sides: tuple[list[LayerChannels], list[LayerChannels]] = [], []
    for item in found:
        module, kind = item.dep.target.module, type(item.dep.target.module).__name__
        if kind in ("_ConcatOp", "_ElementWiseOp", "_ReshapeOp"):
            continue
        if not isinstance(module, WITH_CHANNELS) or getattr(module, "groups", 1) != 1:
            return None
        part = LayerChannels(names[module], torch.tensor(item.idxs), torch.tensor(item.root_idxs))
        sides[0 if graph.is_out_channel_pruning_fn(item.dep.handler) else 1].append(part)
    root = found[0]
    return ChannelGroup(names[root.dep.target.module], len(root.idxs), tuple(sides[0]), tuple(sides[1])) if len(root.idxs) > 1 else None


def _library() -> Any:
    try:
        import torch_pruning  # asked for where something is pruned: an extra
    except ImportError as error:
        raise MissingDependencyError(
            "PRUNING_LIBRARY", f"expected torch-pruning, which finds channels that hang together ({error}); pip install '.[compression]'"
        ) from error
    return torch_pruning


def _reason(network: nn.Module) -> str:
    """Return what stands in the way: layers with weights, or normalisations, of kinds that cannot lose channels."""
    suspects = (module for module in network.modules() if not isinstance(module, WITH_CHANNELS))
    kinds = {
        type(one).__name__ for one in suspects if next(one.parameters(recurse=False), None) is not None or "Norm" in type(one).__name__
    }
    named = f"its layers of the kinds {sorted(kinds)[:6]} are not followed" if kinds else "removing any of them changes what the others say"
    return f"{named}: a network of convolutions with batch normalisation and ReLU can be pruned"
