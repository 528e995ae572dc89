"""Teachers that come about while a student learns: averaged weights of itself, and a second student that learns with it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import KnowledgeError
from medkd.catalogue import EXPLAINERS
from medkd.knowledge.interface import LAST, Knowledge, LiveKnowledge
from medkd.knowledge.source import LiveSource, layer_shape
from medkd.targets import Target
from medkd.trace import Sample, Trace, forked_rng, frozen, layer_map_of
from medkd.types import AttributionMap, FeatureMap, Images, Logits


class EmaSource:
    """The student's own averaged weights as its teacher (mean teacher). In no checkpoint; its state goes with the training's.

    Args:
        decay: of the average; in the first steps it is 1 - 1 / (step + 1), so that the first weights do not stay.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.network: nn.Module | None = None
        self._live: LiveSource | None = None

    def begin(self, student: nn.Module) -> None:
        """Begin at the student's weights."""
        self.network = copy.deepcopy(student).eval().requires_grad_(False)
        self._live = LiveSource(self.network)

    def update(self, student: nn.Module, step: int) -> None:
        """Take the student's weights in.

        Args:
            student: after a step.
            step: number of the optimiser's steps so far, from 1.
        """
        share = 1 - min(self.decay, 1 - 1 / (step + 1))
        with torch.no_grad():
            own = (self._network().state_dict(), student.state_dict())
            for kept, new in zip(*(state.values() for state in own), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(new.to(kept), share)
                else:
                    kept.copy_(new)

    def _network(self) -> nn.Module:
        if self.network is None:
            raise KnowledgeError(
                "TEACHER_MISSING", f"expected averaged weights that have begun at a student's, got {self.network}: call begin first"
            )
        return self.network

    def for_batch(self, sample: Sample) -> Knowledge:
        """Return what the averaged weights of now say of a batch."""
        return self._source().for_batch(sample)

    def _source(self) -> LiveSource:
        network = self._network()
        if self._live is None:
            self._live = LiveSource(network)
        return self._live

    def layers(self) -> tuple[str, ...]:
        """Return the student's layers."""
        return self._source().layers()

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape that a layer puts out."""
        return self._source().shape(layer, image)

    def ask_for(self, layers: Sequence[str]) -> None:
        """Tap these layers from now on."""
        self._source().ask_for(layers)

    def prepared(self, device: torch.device, *, channels_last: bool) -> EmaSource:
        """Bring the averaged weights to the device."""
        self._source().prepared(device, channels_last=channels_last)
        return self


class TraceKnowledge:
    """What a network said of a batch in a pass that was made for its own training; nothing of it carries a gradient to whom it teaches.

    Args:
        kept: the pass, in training mode.
    """

    def __init__(self, kept: Trace) -> None:
        self._kept = kept

    def logits(self) -> Logits:
        """Return the logits of the pass."""
        return self._kept.logits.detach().float()

    def features(self, layer: str) -> FeatureMap:
        """Return the features that the pass kept."""
        return self._kept.feature(self._kept.layer_map.cam_layer if layer == LAST else layer).detach()

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        """Return the map of the pass."""
        with forked_rng(0):
            attribution: AttributionMap = EXPLAINERS.bind(explainer, options)(self._kept, target)
        return attribution.detach()

    def for_batch(self, image: Images, labels: Tensor | None = None) -> Knowledge:
        """Return what the network says of other images, with running statistics; labels are not read."""
        del labels
        network = self._kept.model
        with frozen(network):
            asked = LiveKnowledge(network, {**self._kept.inputs, "image": image})
            asked.logits()  # while it is frozen: the pass is kept
        return asked

    def response(self, hidden: Images) -> Tensor:
        """Return the change of its logits when parts are hidden."""
        return self.for_batch(self._kept.image).logits() - self.for_batch(hidden).logits()


class PeerSource:
    """A second student as a teacher (deep mutual learning): both see each batch, and each learns from what the other says of it.

    Args:
        network: the second student; the loop trains it beside the first, and leaves it behind.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.asked_layers: tuple[str, ...] = ()
        self.speaking: Trace | None = None

    def for_batch(self, sample: Sample) -> Knowledge:
        """Return what whoever speaks now, which is the other of the two, said of the batch."""
        del sample  # it was looked at already
        if self.speaking is None:
            raise KnowledgeError("TEACHER_MISSING", "expected a pass of the peer over the batch before it is asked: the loop makes it")
        return TraceKnowledge(self.speaking)

    def layers(self) -> tuple[str, ...]:
        """Return the layers that both students have."""
        return layer_map_of(self.network).feature_layers

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape that a layer puts out."""
        return layer_shape(self.network, layer, image)

    def ask_for(self, layers: Sequence[str]) -> None:
        """Say which layers passes must keep."""
        self.asked_layers = tuple(layer for layer in layers if layer != LAST)

    def prepared(self, device: torch.device, *, channels_last: bool) -> PeerSource:
        """Return the source itself: the loop brings its network to the device, with the student."""
        del device, channels_last
        return self
