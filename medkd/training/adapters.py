"""What ties a student to its teacher while it learns: pairs of layers, projections between them, learned temperatures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import FeatureLayers, KnowledgeError, LearnedTemperature
from medkd.distillation._discriminator import Reversed
from medkd.training.schedule import scheduled

Pair = tuple[str, str]
Shapes = Mapping[str, Sequence[int]]


class DistillationAdapters(nn.Module):
    """Modules that are trained beside the student and thrown away with the teacher.

    Args:
        pairs: layers (student's, teacher's) that each term compares, by the term's label.
        projectors: by label and pair, ``LABEL:0``, ``LABEL:1``, …
        temperatures: by label.
        discriminators: by label and pair, as projectors.
    """

    def __init__(
        self,
        pairs: Mapping[str, tuple[Pair, ...]] | None = None,
        projectors: Mapping[str, nn.Module] | None = None,
        temperatures: Mapping[str, Temperature] | None = None,
        discriminators: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.pairs = dict(pairs or {})
        self.projectors = nn.ModuleDict(dict(projectors or {}))
        self.temperatures = nn.ModuleDict(dict(temperatures or {}))
        self.discriminators = nn.ModuleDict(dict(discriminators or {}))

    def modules_of(self, key: str) -> dict[str, nn.Module]:
        """Return what a term is handed of a pair, by the name of its argument."""
        found = {"projector": self.projectors, "discriminator": self.discriminators}
        return {name: held[key] for name, held in found.items() if key in held}

    def student_layers(self) -> tuple[str, ...]:
        """Return the student's layers that terms compare, ``last`` among them."""
        return tuple(dict.fromkeys(student_layer for pairs in self.pairs.values() for student_layer, _ in pairs))

    def teacher_layers(self) -> tuple[str, ...]:
        """Return the teacher's."""
        return tuple(dict.fromkeys(teacher_layer for pairs in self.pairs.values() for _, teacher_layer in pairs))


class Temperature(nn.Module):
    """A temperature between two bounds that is learnt against the student, by gradient reversal (2211.16231).

    The reversed gradient is scaled by a strength that rises along half a cosine over training: easy first.
    """

    def __init__(self, schedule: LearnedTemperature) -> None:
        super().__init__()
        self.low, self.high, self.strength = schedule.low, schedule.high, schedule.strength
        share = (schedule.first - schedule.low) / (schedule.high - schedule.low)
        self.raw = nn.Parameter(torch.tensor(math.log(share / (1 - share))))

    def forward(self, share: float) -> Tensor:
        """Return the temperature (a scalar) when ``share`` of training is done."""
        scale = self.strength * 0.5 * (1 - math.cos(math.pi * min(1.0, share)))
        raw: Tensor = Reversed.apply(self.raw, scale)  # type: ignore[no-untyped-call]
        return self.low + (self.high - self.low) * torch.sigmoid(raw)


def temperature_of(schedule: Any, adapters: DistillationAdapters, label: str, share: float) -> Tensor | float | None:
    """Return a term's temperature at a point of training: learnt, scheduled, or None where its option stands."""
    if schedule is None:
        return None
    if isinstance(schedule, LearnedTemperature):
        learned: Tensor = adapters.temperatures[label](share)
        return learned
    return scheduled(schedule, share)


def resolve_pairs(feature_layers: FeatureLayers | None, own: Pair, student: Shapes, teacher: Shapes) -> tuple[Pair, ...]:
    """Return the pairs of layers that a term compares.

    Args:
        feature_layers: what the recipe asks for; None compares ``own``.
        own: the layers that the term's options name.
        student: named layers of the student, shallow to deep, with the shape [1, features, *grid] that each puts out.
        teacher: as ``student``.
    """
    if feature_layers is None:
        return (own,)
    if feature_layers == "each":
        return tuple(
            (student_layer, min(teacher, key=lambda teacher_layer: _apart(student[student_layer], teacher[teacher_layer])))
            for student_layer in student
        )
    if feature_layers == "cross":
        depth = {name: index / max(1, len(teacher) - 1) for index, name in enumerate(teacher)}
        own_depth = {name: index / max(1, len(student) - 1) for index, name in enumerate(student)}
        return tuple(
            (student_layer, teacher_layer)
            for student_layer in student
            for teacher_layer in teacher
            if depth[teacher_layer] <= own_depth[student_layer]
        )
    return tuple(feature_layers)


def _apart(first: Sequence[int], second: Sequence[int]) -> float:
    """Return how far two grids are from one another: the sum of their log ratios, infinite where they have different dimensions."""
    if len(first) != len(second):
        return math.inf
    return sum(abs(math.log(a / b)) for a, b in zip(first[2:], second[2:], strict=True))


def require_matching(label: str, pair: Pair, student_shape: Sequence[int], teacher_shape: Sequence[int]) -> None:
    """Refuse a pair of layers whose outputs cannot be compared.

    Raises:
        KnowledgeError: ``TAP_SHAPES``, naming both layers and both shapes.
    """
    if len(student_shape) != len(teacher_shape) or len(student_shape) < 3:
        raise KnowledgeError(
            "TAP_SHAPES",
            f"expected maps [batch, features, *grid] of the same dimensions for {label!r}, the student's {pair[0]!r} puts out "
            f"{_said(student_shape)} and the teacher's {pair[1]!r} {_said(teacher_shape)}",
        )


def _said(shape: Sequence[int]) -> str:
    return " x ".join(str(extent) for extent in shape)


def projection(student_shape: Sequence[int], teacher_shape: Sequence[int]) -> nn.Module:
    """Return a 1x1 convolution from the student's channels to the teacher's."""
    kind: Callable[..., nn.Module] = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}[len(student_shape)]
    return kind(student_shape[1], teacher_shape[1], kernel_size=1)
