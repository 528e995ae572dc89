"""What is explained of a study, whatever the kind of its task: its findings, and how an explainer is tried on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from data_contracts import (
    ClassAnswer,
    ExplanationError,
    ExplanationRequest,
    Lesion,
    LesionFinding,
    MeasureValue,
    TargetRecord,
    TaskKind,
)

if TYPE_CHECKING:  # what a run-time without torch shares of this module needs none
    from torch import Tensor, nn


@dataclass(frozen=True)
class Method:
    """An explainer as it is asked: its name in the catalogue, its options (networks among them), the seed of what it draws."""

    explainer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class ExplainedRegion:
    """One thing that is explained.

    Attributes:
        number: from 1; the largest is the first.
        class_name: what was found.
        index: its class.
        key_slice: slice that shows it best.
        region: uint8 [slice, row, column]: the lesion; of an answer what the study's own label marks on its slices (nothing without one).
        target: record of the target.
        span: slices that its maps are about: all of a volume that the network sees as a whole, of pictures those that are explained.
    """

    number: int
    class_name: str
    index: int
    key_slice: int
    region: Tensor
    target: TargetRecord
    span: slice


@dataclass(frozen=True)
class StudyFindings:
    """Everything that a model found in a study or answered about it, explained or not.

    Attributes:
        lesions: of models that segment.
        answers: of models that classify.
        teacher_only: components that the teacher marks alone.
        arrays: uint8 [slice, row, column]: ``segmentation/ROLE``, the class of every voxel, or ``marked``, what a classifier's maps are judged by.
    """

    lesions: tuple[LesionFinding, ...] = ()
    answers: tuple[ClassAnswer, ...] = ()
    teacher_only: tuple[Lesion, ...] = ()
    arrays: Mapping[str, Tensor] = field(default_factory=dict)


class SanityTrial(Protocol):
    """An explainer's maps of one subject, about to be tested. Maps are float32 [case, *network space]."""

    @property
    def maps(self) -> Tensor:
        """Return the maps that are tested."""
        ...

    @property
    def method(self) -> Method:
        """Return the explainer."""
        ...

    @property
    def windows(self) -> tuple[int, int] | None:
        """Return in how many windows the subject lies and on how many it is tried; None where it is tried on all."""
        ...

    def by(self, network: nn.Module) -> Tensor:
        """Return the maps of another network."""
        ...

    def gap(self, network: nn.Module, baseline: float) -> Tensor:
        """Return the explained score less that of an even image, [case]."""
        ...

    def parts(self) -> Tensor:
        """Return the sum of the maps of what the target is made of."""
        ...

    def moved(self) -> Tensor | None:
        """Return the maps of the same mask elsewhere; None where there is no elsewhere."""
        ...


class StudyExplainer(Protocol):
    """What a network found in a study, and how it is explained."""

    @property
    def subjects(self) -> Sequence[ExplainedRegion]:
        """Return what is explained."""
        ...

    @property
    def kind(self) -> TaskKind:
        """Return the kind of the task."""
        ...

    @property
    def found(self) -> StudyFindings:
        """Return everything that was found."""
        ...

    def outside(self, subject: ExplainedRegion) -> Tensor | None:
        """Return where the mass of a subject's map has nothing to do with what was found, bool [slice, row, column]; None where that is not known."""
        ...

    def explain(self, network: nn.Module, method: Method) -> Tensor:
        """Return the maps of all subjects, [subject, *network space], in one pass."""
        ...

    def trial(self, network: nn.Module, maps: Tensor, method: Method) -> SanityTrial:
        """Return the trial of an explainer on the first subject, from the maps of all."""
        ...

    def features(self, network: nn.Module) -> Tensor:
        """Return a row of pooled features per subject, float32 [subject, feature], by which it is compared with training cases."""
        ...

    def faithfulness(self, network: nn.Module, place: int, attribution: Tensor) -> tuple[MeasureValue, ...]:
        """Return what hiding by the map [*network space] of the subject at ``place`` does to the network's answer, where that is measured."""
        ...


def chosen(found: Sequence[str], request: ExplanationRequest) -> list[int]:
    """Return the places of the findings that are explained: the first ``most``, or the one that was asked.

    Args:
        found: every finding in words.
        request: what was asked.

    Raises:
        ExplanationError: ``LESION_UNKNOWN`` for one that is not there, where there are any.
    """
    if request.lesion is None or not found:
        return list(range(len(found)))[: request.most]
    if request.lesion > len(found):
        listed = ", ".join(f"{number} ({words})" for number, words in enumerate(found, 1))
        raise ExplanationError("LESION_UNKNOWN", f"expected one of the findings {listed}, got {request.lesion}")
    return [request.lesion - 1]
