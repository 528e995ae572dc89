"""Teachers of one head each, for a student of both: one says what is where, the other what the whole image shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from medkd.knowledge.interface import Knowledge, knowledge_of_head
from medkd.knowledge.source import KnowledgeSource
from medkd.models._heads import sample_of_cases
from medkd.targets import Target
from medkd.trace import Sample
from medkd.types import AttributionMap, FeatureMap, Images, Logits


class HeadsKnowledge:
    """What two teachers say of one batch: everything but the answers of the head that classifies is the first one's.

    Args:
        dense: of the teacher that segments.
        of_cases: of the teacher that classifies whole images.
    """

    def __init__(self, dense: Knowledge, of_cases: Knowledge) -> None:
        self._dense, self._of_cases = dense, of_cases

    def logits(self) -> Logits:
        """Return the logits of the teacher that segments, [batch, class, *space]."""
        return self._dense.logits()

    def features(self, layer: str) -> FeatureMap:
        """Return its features."""
        return self._dense.features(layer)

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        """Return its map."""
        return self._dense.attribution(explainer, target, **options)

    def for_batch(self, image: Images, labels: Tensor | None = None) -> Knowledge:
        """Return what both say of other images; a case's own label holds for each of its views."""
        return HeadsKnowledge(self._dense.for_batch(image, labels), self._of_cases.for_batch(image))

    def response(self, hidden: Images) -> Tensor:
        """Return how its logits change when parts are hidden."""
        return self._dense.response(hidden)

    def of_head(self, head: str) -> Knowledge:
        """Return what the other teacher says of whole images.

        Raises:
            ExplanationError: ``HEAD_MISSING`` of another head that the teacher that segments does not have.
        """
        if head == "classification":
            return self._of_cases
        return knowledge_of_head(self._dense, head)


class HeadsSource:
    """Two sources that each answer for one head.

    Args:
        dense: of the teacher that segments; layers are its own.
        of_cases: of the teacher that classifies whole images; it reads the labels of cases.
    """

    def __init__(self, dense: KnowledgeSource, of_cases: KnowledgeSource) -> None:
        self.dense, self.of_cases = dense, of_cases

    def for_batch(self, sample: Sample) -> HeadsKnowledge:
        """Return both teachers' answers about the batch."""
        return HeadsKnowledge(self.dense.for_batch(sample), self.of_cases.for_batch(sample_of_cases(sample)))

    @property
    def members(self) -> tuple[KnowledgeSource, KnowledgeSource]:
        """Return both, the one that segments first."""
        return self.dense, self.of_cases

    def layers(self) -> tuple[str, ...]:
        """Return the layers of the teacher that segments: terms over features are about those."""
        return self.dense.layers()

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape that a layer of it puts out."""
        return self.dense.shape(layer, image)

    def ask_for(self, layers: Sequence[str]) -> None:
        """Tap these layers of it."""
        self.dense.ask_for(layers)

    def prepared(self, device: torch.device, *, channels_last: bool) -> HeadsSource:
        """Return the source with both ready."""
        self.dense = self.dense.prepared(device, channels_last=channels_last)
        self.of_cases = self.of_cases.prepared(device, channels_last=channels_last)
        return self
