"""Several sources of knowledge as one: what an arm with several teachers asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from data_contracts import AttributionSource
from medkd.knowledge.control import ControlledKnowledge
from medkd.knowledge.heads_source import HeadsSource
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.mixture import MixtureKnowledge, Weighting, weigher
from medkd.knowledge.source import KnowledgeSource
from medkd.trace import Sample

S = TypeVar("S")


class MixtureSource:
    """Sources that answer together.

    Args:
        members: sources by name, in the order of an arm; layers are the first one's.
        weighting: how their answers are weighed.
        figures: of each member by class, for ``validation``.
        classes: of the task, in order.
    """

    def __init__(
        self,
        members: Mapping[str, KnowledgeSource],
        weighting: Weighting = "mean",
        *,
        figures: Mapping[str, Mapping[str, float | None]] | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        self.members, self.weighting = dict(members), weighting
        self._figures, self._classes = dict(figures or {}), tuple(classes)

    def for_batch(self, sample: Sample) -> MixtureKnowledge:
        """Return the mixture's answers about the batch."""
        figures = [self._figures.get(name, {}) for name in self.members]
        weigh = weigher(self.weighting, figures, self._classes)
        labels = sample.labels if self.weighting == "confidence" else None
        return MixtureKnowledge([member.for_batch(sample) for member in self.members.values()], weigh, labels)

    @property
    def first(self) -> KnowledgeSource:
        """Return the member that answers where only one can."""
        return next(iter(self.members.values()))

    def layers(self) -> tuple[str, ...]:
        """Return the layers of the first."""
        return self.first.layers()

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape that a layer of the first puts out."""
        return self.first.shape(layer, image)

    def ask_for(self, layers: Sequence[str]) -> None:
        """Tap these layers of the first."""
        self.first.ask_for(layers)

    def prepared(self, device: torch.device, *, channels_last: bool) -> MixtureSource:
        """Return the source with every member ready."""
        self.members = {name: one.prepared(device, channels_last=channels_last) for name, one in self.members.items()}
        return self


class ControlledSource:
    """A source whose answers are its own and whose explanations are a control's (:class:`ControlledKnowledge`).

    Args:
        source: asked about each batch.
        kind: which control.
        random_teacher: network with random weights, for the control that asks one.
    """

    def __init__(self, source: KnowledgeSource, kind: AttributionSource, random_teacher: nn.Module | None = None) -> None:
        self.source, self.kind, self.random_teacher = source, kind, random_teacher

    def for_batch(self, sample: Sample) -> Knowledge:
        """Return the answers with replaced explanations."""
        return ControlledKnowledge(self.source.for_batch(sample), self.kind, sample, self.random_teacher)

    def layers(self) -> tuple[str, ...]:
        """Return the source's layers."""
        return self.source.layers()

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape of a layer."""
        return self.source.shape(layer, image)

    def ask_for(self, layers: Sequence[str]) -> None:
        """Tap these layers."""
        self.source.ask_for(layers)

    def prepared(self, device: torch.device, *, channels_last: bool) -> ControlledSource:
        """Return the source ready, and the random network frozen."""
        self.source = self.source.prepared(device, channels_last=channels_last)
        if self.random_teacher is not None:
            self.random_teacher.to(device).eval().requires_grad_(False)
        return self


def parts_of(source: KnowledgeSource | None, kind: type[S]) -> Iterator[S]:
    """Yield the parts of a source that are of one kind, itself included."""
    if isinstance(source, kind):
        yield source
    if isinstance(source, ControlledSource):
        yield from parts_of(source.source, kind)
    members = source.members.values() if isinstance(source, MixtureSource) else source.members if isinstance(source, HeadsSource) else ()
    for member in members:
        yield from parts_of(member, kind)
