"""Where a teacher's answers come from while a student learns: a live network, or a store. One protocol, so that the loop knows neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from data_contracts import AttributionSource
from medkd.knowledge.control import ControlledKnowledge
from medkd.knowledge.interface import LAST, Knowledge, LiveKnowledge
from medkd.knowledge.repeated_views import RepeatedViews, fits
from medkd.trace import TEACHER_IMAGE, Sample, frozen, layer_map_of, trace


@runtime_checkable
class KnowledgeSource(Protocol):
    """A teacher, whatever it is made of."""

    def for_batch(self, sample: Sample) -> Knowledge:
        """Return what the teacher says of a batch."""
        ...

    def layers(self) -> tuple[str, ...]:
        """Return the layers that may be compared, shallow to deep."""
        ...

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape [1, features, *grid] that a layer puts out for one image [1, channel, *space]."""
        ...

    def ask_for(self, layers: Sequence[str]) -> None:
        """Say which layers will be asked for."""
        ...

    def prepared(self, device: torch.device, *, channels_last: bool) -> KnowledgeSource:
        """Return the source ready to answer on a device."""
        ...


class LiveSource:
    """A live teacher: in eval mode, without gradients, outside of the student's module tree.

    Args:
        network: with an anatomy.
        attribution_source: whose explanations it gives: its own, or a control's.
        random_teacher: network with random weights, for the control that asks one.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        attribution_source: AttributionSource = AttributionSource.TEACHER,
        random_teacher: nn.Module | None = None,
    ) -> None:
        self.network, self.attribution_source, self.random_teacher = network, attribution_source, random_teacher
        self._layers: tuple[str, ...] = ()
        self._views: RepeatedViews | None = None

    def ask_before(self, images: Tensor, *, mirrored: bool, maps: bool, batch: int) -> None:
        """Ask about every view that training repeats, once, where the answers fit in memory.

        Args:
            images: float32 [n, channel, *space], on the CPU.
            mirrored: views are images and their mirror images; otherwise the images alone.
            maps: class maps or last features will be read too.
            batch: cases per pass.
        """
        known = layer_map_of(self.network)
        layers = (*((known.cam_layer, *known.other_cam_layers.values()) if maps else ()), *self._layers)
        if fits(self.network, images[:1], views=len(images) * (2 if mirrored else 1), layers=layers):
            self._views = RepeatedViews(self.network, images, mirrored=mirrored, layers=layers, batch=batch)

    def knows(self, sample: Sample) -> bool:
        """Return whether the network was asked about every image of a batch before."""
        return self._views is not None and self._views.trace_of(_shown(sample)) is not None

    def for_batch(self, sample: Sample) -> Knowledge:
        """Return the network's answers about the batch, or about the easier images that the batch carries for it."""
        inputs = _shown(sample)
        asked = None if self._views is None else self._views.trace_of(inputs)
        knowledge: Knowledge = LiveKnowledge(self.network, inputs, layers=self._layers, asked=asked)
        if self.attribution_source is not AttributionSource.TEACHER:
            knowledge = ControlledKnowledge(knowledge, self.attribution_source, sample, self.random_teacher)
        return knowledge

    def layers(self) -> tuple[str, ...]:
        """Return the taps of the network's anatomy."""
        return layer_map_of(self.network).feature_layers

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape by a dry forward pass; nothing of the network changes."""
        return layer_shape(self.network, layer, image)

    def ask_for(self, layers: Sequence[str]) -> None:
        """Tap these layers from now on."""
        # The layer of class maps is tapped in every pass, under its own name.
        self._layers = tuple(layer_map_of(self.network).resolve(layer) for layer in layers if layer != LAST)

    def prepared(self, device: torch.device, *, channels_last: bool) -> LiveSource:
        """Freeze the network (and the random one) and bring it to the device."""
        for network in (self.network, self.random_teacher):
            if network is not None:
                network.to(device).eval().requires_grad_(False)
                if channels_last:
                    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self


def _shown(sample: Sample) -> dict[str, Tensor]:
    """Return the inputs that a teacher is asked about."""
    inputs = dict(sample.inputs)
    # The student's harder image goes: a teacher that saw it would be asked about noise.
    inputs["image"] = inputs.pop(TEACHER_IMAGE, inputs["image"])
    return inputs


def layer_shape(network: nn.Module, layer: str, image: Tensor) -> tuple[int, ...]:
    """Return the shape that a network's layer puts out for an image [1, channel, *space], by a dry forward pass."""
    name = layer_map_of(network).resolve(layer)
    with frozen(network), torch.no_grad():
        return tuple(trace(network, image, layers=(name,)).feature(name).shape)
