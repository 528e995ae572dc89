"""Teacher and student with different label sets: classes of the teacher merge to one of the student's, or are dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from data_contracts import KnowledgeError, TargetRecord
from medkd.knowledge.interface import Knowledge
from medkd.targets import Target
from medkd.types import AttributionMap, FeatureMap, Images, Logits, Scores


@dataclass(frozen=True)
class ClassMap:
    """Which classes of the teacher each class of the student stands for: indices, one tuple per class of the student."""

    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def between(cls, teacher: Sequence[str], student: Sequence[str], class_map: Mapping[str, Sequence[str]]) -> ClassMap | None:
        """Return the map that a recipe asks for; None where both have the same classes and nothing is asked.

        Raises:
            KnowledgeError: ``CLASSES_DIFFER`` when a class of the student stands for none of the teacher's, or one stands for two.
        """
        if not class_map and tuple(teacher) == tuple(student):
            return None
        unknown = sorted({name for names in class_map.values() for name in names} - set(teacher)) + sorted(set(class_map) - set(student))
        # As soon as one class is mapped all must be named: nothing is guessed from names that happen to be equal.
        missing = [name for name in student if name not in class_map]
        if unknown or missing:
            raise KnowledgeError(
                "CLASSES_DIFFER",
                f"expected a class_map from each of {list(student)} to classes among {list(teacher)}, "
                + (f"{unknown[0]!r} is none of them" if unknown else f"{missing[0]!r} has none"),
            )
        named = [name for names in class_map.values() for name in names]
        if len(set(named)) != len(named) or not all(class_map[name] for name in student):
            raise KnowledgeError(
                "CLASSES_DIFFER",
                f"expected every class of the teacher at most once in the class_map, and none empty, got {dict(class_map)}",
            )
        return cls(tuple(tuple(list(teacher).index(name) for name in class_map[own]) for own in student))

    def logits(self, logits: Logits) -> Logits:
        """Return the student's logits, [batch, groups, *space]: log of the summed probabilities of a group; dropped classes share nothing."""
        return torch.stack([torch.logsumexp(logits[:, list(group)], dim=1) for group in self.groups], dim=1)


class MappedTarget:
    """A target over the student's classes, asked of the teacher's logits: its slope there follows the shares within a group."""

    def __init__(self, target: Target, mapping: ClassMap) -> None:
        self._target, self._map = target, mapping

    def __call__(self, logits: Logits) -> Scores:
        """Return the scores, [batch]."""
        return self._target(self._map.logits(logits.float()))

    def coefficients(self, logits: Logits) -> Tensor:
        """Return d score / d logits of the teacher, at these logits."""
        plain = logits.detach().float()
        outer = self._target.coefficients(self._map.logits(plain))
        found = torch.zeros_like(plain)
        for index, group in enumerate(self._map.groups):
            # The slope of a log of summed exponentials is the softmax within the group.
            found[:, list(group)] = outer[:, index : index + 1] * plain[:, list(group)].softmax(1)
        return found

    def of_case(self, case: int) -> MappedTarget:
        """Return the target of one case."""
        return MappedTarget(self._target.of_case(case), self._map)

    def record(self) -> TargetRecord:
        """Return the description of the student's target."""
        return self._target.record()


class MappedKnowledge:
    """A teacher's answers in the student's classes. Features have no classes and stay.

    Args:
        teacher: asked about the batch.
        mapping: which classes belong together.
    """

    def __init__(self, teacher: Knowledge, mapping: ClassMap) -> None:
        self._teacher, self._map = teacher, mapping

    def logits(self) -> Logits:
        """Return the merged logits."""
        return self._map.logits(self._teacher.logits())

    def features(self, layer: str) -> FeatureMap:
        """Return the teacher's features."""
        return self._teacher.features(layer)

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        """Return the teacher's map of what the student's target means in its classes."""
        return self._teacher.attribution(explainer, MappedTarget(target, self._map), **options)

    def for_batch(self, image: Images, labels: Tensor | None = None) -> Knowledge:
        """Return the merged answers about other images."""
        return MappedKnowledge(self._teacher.for_batch(image, labels), self._map)

    def response(self, hidden: Images) -> Tensor:
        """Return how the merged logits change."""
        return self.logits() - self.for_batch(hidden).logits()
