"""The protocol that losses read a teacher through, and two of its kinds: a live teacher and remembered tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, overload, runtime_checkable

import torch
from torch import Tensor, nn

from data_contracts import KnowledgeError
from medkd.catalogue import EXPLAINERS
from medkd.models._heads import trace_of_head
from medkd.targets import Target
from medkd.trace import LAST, Trace, forked_rng, layer_map_of, trace
from medkd.types import AttributionMap, FeatureMap, Images, Logits

__all__ = ["LAST", "Knowledge", "LiveKnowledge"]
#: Heads beside the one that puts out the logits (``LayerMap.other_heads``): what they put out is an answer, which no control replaces.
OTHER_HEADS = frozenset({"boxes", "classification"})


@runtime_checkable
class Knowledge(Protocol):
    """A teacher's answers about one batch. None of them carries a gradient."""

    def logits(self) -> Logits:
        """Return the teacher's logits of the batch."""
        ...

    def features(self, layer: str) -> FeatureMap:
        """Return the teacher's features at a named layer."""
        ...

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        """Return the teacher's map of the batch for a target, [batch, *space]."""
        ...

    def for_batch(self, image: Images, labels: Tensor | None = None) -> Knowledge:
        """Return what the teacher says of other images [batch, channel, *space].

        A loss that shows images of its own hands over the labels [batch] or [batch, *space] that belong to them, moved along with the voxels
        (and says so: ``LABELS_OF_VIEWS = True`` in its file): several teachers may be weighed by them.
        """
        ...

    def response(self, hidden: Images) -> Tensor:
        """Return how the teacher's logits change, logits(image) - logits(hidden), when parts of the images are hidden."""
        ...


@overload
def knowledge_of_head(knowledge: Knowledge, head: str) -> Knowledge: ...
@overload
def knowledge_of_head(knowledge: None, head: str) -> None: ...
def knowledge_of_head(knowledge: Knowledge | None, head: str) -> Knowledge | None:
    """Return what another head of a teacher answers.

    Raises:
        KnowledgeError: ``KNOWLEDGE_MISSING`` of a store, which holds one head's answers.
    """
    if knowledge is None:
        return None
    asked = getattr(knowledge, "of_head", None)
    if asked is None:
        raise KnowledgeError(
            "KNOWLEDGE_MISSING", f"expected a live teacher for terms of the head {head!r}, a store holds one head's answers"
        )
    found: Knowledge = asked(head)
    return found


class LiveKnowledge:
    """A live teacher asked about one batch: one forward pass, made when first needed, then kept.

    The teacher is evaluated with running statistics and without gradients, whatever mode it was left in.

    Args:
        teacher: frozen network with an anatomy.
        inputs: the batch as the student sees it (same view).
        layers: layers to keep beside those of its anatomy.
        asked: a pass over these very images that was made before, if there is one; it may hold fewer layers.
    """

    def __init__(self, teacher: nn.Module, inputs: Mapping[str, Tensor], *, layers: Sequence[str] = (), asked: Trace | None = None) -> None:
        self._teacher = teacher
        self._inputs = inputs
        self._layers = tuple(layers)
        self._asked = asked
        self._kept: Trace | None = None

    def _trace(self) -> Trace:
        if self._kept is None:
            if self._teacher.training:
                raise KnowledgeError(
                    "TEACHER_TRAINING",
                    f"expected a teacher in eval mode, got a {type(self._teacher).__name__} whose dropout and batch statistics are active",
                )
            layer_map = layer_map_of(self._teacher)
            layers = (*layer_map.feature_layers, layer_map.cam_layer, *self._layers)
            with torch.no_grad():
                self._kept = trace(self._teacher, self._inputs, layers=layers)
        return self._kept

    def logits(self) -> Logits:
        """Return the teacher's logits, float32."""
        return (self._asked or self._trace()).logits.float()

    def features(self, layer: str) -> FeatureMap:
        """Return the teacher's features at a tap of its anatomy, or what another head of it, by its name, puts out."""
        if layer in layer_map_of(self._teacher).other_heads:
            asked = self._asked if self._asked is not None and layer in self._asked.outputs else self._trace()
            return asked.outputs[layer].float()
        layer = layer_map_of(self._teacher).resolve(layer)
        if self._asked is not None and layer in self._asked.features:
            return self._asked.feature(layer)
        return self._trace().feature(layer)

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        """Return the teacher's map, by the very function that the report calls."""
        with forked_rng(0):  # explainers that draw: the same draws as the report's, and the caller's generator left as it was
            attribution: AttributionMap = EXPLAINERS.bind(explainer, options)(self._trace_for(explainer), target)
        return attribution.detach()

    def of_head(self, head: str) -> Knowledge:
        """Return what another head of the same teacher answers, its passes shared."""
        kept = self._asked if self._asked is not None and head in self._asked.outputs else self._trace()
        layer = layer_map_of(self._teacher).other_cam_layers.get(head)
        if layer is not None and layer not in kept.features:
            kept = self._trace()
        seen = trace_of_head(kept, head)
        return LiveKnowledge(seen.model.eval(), self._inputs, asked=seen)

    def _trace_for(self, explainer: str) -> Trace:
        """Return what an explainer reads: class maps need no more than the last features."""
        asked = self._asked
        return asked if asked is not None and explainer == "cam" and asked.layer_map.cam_layer in asked.features else self._trace()

    def for_batch(self, image: Images, labels: Tensor | None = None) -> Knowledge:
        """Return what the same teacher says of other images; labels are not read."""
        del labels
        return LiveKnowledge(self._teacher, {**self._inputs, "image": image}, layers=self._layers)

    def response(self, hidden: Images) -> Tensor:
        """Return the change of the teacher's logits when parts are hidden."""
        return self.logits() - self.for_batch(hidden).logits()
