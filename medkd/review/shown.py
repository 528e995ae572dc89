"""What a page shows of its explanations: the findings that have maps, in order, and the arrays that pictures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import ClassAnswer, ExplanationRef, LesionFinding, ReviewReport, StudyExplanation
from medkd.explanation.wording import noun_of


@dataclass(frozen=True)
class StudyArrays:
    """The arrays of a report, each [slice, row, column]; NumPy's, since who renders a page needs no torch.

    Attributes:
        volume: the study's values.
        explained: the arrays of each of its explanations, as they were kept.
        label: the study's own segmentation, where it has one.
        further: other images of the study that a model saw, on the same voxels.
    """

    volume: NDArray[np.float32]
    explained: tuple[Mapping[str, NDArray[Any]], ...]
    label: NDArray[Any] | None = None
    further: tuple[NDArray[np.float32], ...] = ()

    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """Return what each source marks: ``student``, ``teacher``, ``reference``."""
        found = {
            name.removeprefix("segmentation/"): values > 0
            for arrays in self.explained
            for name, values in arrays.items()
            if name.startswith("segmentation/")
        }
        return found | ({} if self.label is None else {"reference": self.label > 0})


@dataclass(frozen=True)
class PriorStudy:
    """An earlier study of the same patient, as it is shown beside a report.

    Attributes:
        report: of the earlier study.
        arrays: of that report.
    """

    report: ReviewReport
    arrays: StudyArrays


@dataclass(frozen=True)
class Shown:
    """A finding on a page.

    Attributes:
        place: of its explanation in the report.
        explanation: that says everything about it.
        finding: the lesion or the answer.
        maps: of it, by both roles, the first explainer's first.
    """

    place: int
    explanation: StudyExplanation
    finding: LesionFinding | ClassAnswer
    maps: tuple[ExplanationRef, ...]

    @property
    def label(self) -> str:
        """Return what it is called: ``lesion 1``, of a model that outlines anatomy ``structure 1``, ``answer 2``."""
        noun = noun_of(self.explanation.structures) if isinstance(self.finding, LesionFinding) else "answer"
        return f"{noun} {self.finding.number}"

    @property
    def explainers(self) -> tuple[str, ...]:
        """Return the explainers that have a map of it, in order."""
        return tuple(dict.fromkeys(one.method.explainer for one in self.maps))

    def by(self, explainer: str) -> dict[str, ExplanationRef]:
        """Return an explainer's maps of it by role, the student's first."""
        found = {one.model_role: one for one in self.maps if one.method.explainer == explainer}
        return {role: found[role] for role in ("student", "teacher") if role in found}


def shown_in(report: ReviewReport) -> list[Shown]:
    """Return the findings that have maps: lesions before answers of each explanation."""
    found = []
    for place, explanation in enumerate(report.explanations):
        findings: tuple[LesionFinding | ClassAnswer, ...] = (*explanation.lesions, *explanation.answers)
        for one in findings:
            if one.number in explanation.explained:
                found.append(Shown(place, explanation, one, tuple(ref for ref in explanation.maps if ref.number == one.number)))
    return found
