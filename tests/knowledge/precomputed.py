"""A double of a teacher: answers that were computed before, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from data_contracts import KnowledgeError
from medkd.knowledge.interface import Knowledge
from medkd.targets import Target
from medkd.types import AttributionMap, FeatureMap, Images, Logits


class PrecomputedKnowledge:
    """Answers that were computed before, by name; what was not extracted is an error before it is a wrong gradient.

    Args:
        logits: [batch, classes, *space].
        features: by tap.
        attributions: by explainer name.
    """

    def __init__(
        self,
        logits: Tensor | None = None,
        *,
        features: Mapping[str, Tensor] | None = None,
        attributions: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._logits = logits
        self._features = dict(features or {})
        self._attributions = dict(attributions or {})

    def logits(self) -> Logits:
        """Return the remembered logits."""
        if self._logits is None:
            raise KnowledgeError(
                "KNOWLEDGE_MISSING",
                f"expected stored logits, this knowledge holds {sorted(self._features) or 'nothing'}: extract it with logits",
            )
        return self._logits

    def features(self, layer: str) -> FeatureMap:
        """Return the remembered features of a tap."""
        if layer not in self._features:
            raise KnowledgeError(
                "KNOWLEDGE_MISSING", f"expected stored features of {layer!r}, this knowledge holds {sorted(self._features)}"
            )
        return self._features[layer]

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        """Return the remembered map of an explainer."""
        if explainer not in self._attributions:
            raise KnowledgeError(
                "KNOWLEDGE_MISSING", f"expected stored maps of {explainer!r}, this knowledge holds {sorted(self._attributions)}"
            )
        return self._attributions[explainer]

    def for_batch(self, image: Images, labels=None) -> Knowledge:
        """Refuse: what was not asked when the knowledge was extracted is not known."""
        raise KnowledgeError("KNOWLEDGE_MISSING", f"expected stored answers about {len(image)} other images, this knowledge holds none")

    def response(self, hidden: Images) -> Tensor:
        """Refuse, as :meth:`for_batch` does."""
        return self.for_batch(hidden).logits()
