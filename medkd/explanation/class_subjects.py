"""Answers of a classifier: runs of slices with one answer, or one about a volume; explained and tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import Calibration, ClassAnswer, ExplanationRequest, MeasureValue, TaskKind, VolumeRef
from medkd.explanation.asked_place import slice_asked
from medkd.explanation.class_answers import answers_of, explained_slices
from medkd.explanation.explain_classes import explain_classes
from medkd.explanation.measures_of_maps import class_perturbation, margin_parts, measure_value
from medkd.explanation.subjects import ExplainedRegion, Method, StudyFindings, chosen
from medkd.inference.apply_calibration import apply
from medkd.inference.classify import class_logits, pictures_of
from medkd.inference.pooled_features import pooled_features
from medkd.inference.segment import PreparedStudy
from medkd.measures.deletion import deletion
from medkd.measures.insertion import insertion
from medkd.targets import ClassMargin

#: Pictures of an answer that an explainer is tried on.
TRIED = 8


class ClassStudyExplainer:
    """Answers of a classifier: each run of neighbouring slices with one answer, longest first; of a volume the only one.

    Args:
        networks: by role; the student is asked, the teacher (where there is one) compared with.
        study: the study.
        volume: its record.
        request: which of the answers are explained.
        label: what is marked, [slice, row, column]: by the study's own segmentation, or a segmenter's; maps are then judged by where it lies.
        calibration: of the student's probabilities; what is explained are its logits as they are.
    """

    kind = TaskKind.CLASSIFICATION

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        study: PreparedStudy,
        volume: VolumeRef,
        request: ExplanationRequest,
        label: Tensor | None,
        calibration: Calibration | None = None,
    ) -> None:
        self._study, self._pictures = study, pictures_of(study)
        logits = {role: class_logits(network, self._pictures, study) for role, network in networks.items()}
        probability = {role: own.softmax(1) for role, own in logits.items()}
        if calibration is not None:
            probability["student"] = torch.from_numpy(apply(logits["student"].numpy(), calibration))
        self._classes = probability["student"].argmax(1)
        marked = torch.zeros(volume.geometry.shape, dtype=torch.uint8) if label is None else (label > 0).to(torch.uint8)
        answers = answers_of(
            {role: own.numpy() for role, own in probability.items()}, study.task.classes, marked.numpy(), whole=study.alignment is not None
        )
        self.found = StudyFindings(answers=answers, arrays={} if label is None else {"marked": marked})
        if request.place is not None:
            asked = slice_asked(study, request, self._classes, volume.geometry.shape)
            self.subjects: Sequence[ExplainedRegion] = [asked]
            self._classes = self._classes.clone()
            self._classes[self._rows(0)] = asked.index
            return
        places = chosen([f"{one.class_name}, slices {one.first_slice + 1} to {one.last_slice + 1}" for one in answers], request)
        self.subjects = [_subject(answers[place], marked, study, request.slices) for place in places]

    def outside(self, subject: ExplainedRegion) -> Tensor | None:
        """Return what is not marked; nothing where nothing is marked on the answer's slices: then nobody knows."""
        return subject.region == 0 if bool(subject.region.any()) else None

    def explain(self, network: nn.Module, method: Method) -> Tensor:
        """Return the maps of all answers, [answer, *network space]; all pictures go through in one pass."""
        rows = torch.cat([self._rows(place) for place in range(len(self.subjects))])
        maps = self._explain_by(network, rows, method)
        if self._study.alignment is not None:
            return maps[None]
        found = torch.zeros(len(self.subjects), *maps.shape)
        for place in range(len(self.subjects)):
            found[place, self._rows(place)] = maps[self._rows(place)]
        return found

    def trial(self, network: nn.Module, maps: Tensor, method: Method) -> ClassTrial:
        """Return the trial of an explainer on the first answer: its key slice and those next to it."""
        rows, key = self._rows(0), self.subjects[0].key_slice
        some = rows[(rows - key).abs().argsort(stable=True)[:TRIED]].sort().values if self._study.alignment is None else rows
        own = maps[0][some] if self._study.alignment is None else maps[:1]
        return ClassTrial(network, self._study, some, self._classes[some], own, method)

    def features(self, network: nn.Module) -> Tensor:
        """Return the features of each answer's key slice, of a volume those of the patch that the classifier saw."""
        rows = [one.key_slice if self._study.alignment is None else 0 for one in self.subjects]
        return pooled_features(network, self._pictures[rows])[0]

    def faithfulness(self, network: nn.Module, place: int, attribution: Tensor) -> tuple[MeasureValue, ...]:
        """Return deletion and insertion of the answer's key picture."""
        row = self.subjects[place].key_slice if self._study.alignment is None else 0
        own = attribution[row] if self._study.alignment is None else pictures_of(self._study, attribution[None])[0, 0]
        change = class_perturbation(network, self._pictures[row : row + 1], self._classes[row : row + 1])
        return (
            measure_value("deletion", deletion(own[None], change)[0]),
            measure_value("insertion", insertion(own[None], change)[0]),
        )

    def _rows(self, place: int) -> Tensor:
        span = self.subjects[place].span
        return torch.arange(span.start, span.stop) if self._study.alignment is None else torch.zeros(1).long()

    def _explain_by(self, network: nn.Module, rows: Tensor, method: Method) -> Tensor:
        return explain_classes(network, self._study, rows, ClassMargin(self._classes[rows]), method)


def _subject(answer: ClassAnswer, marked: Tensor, study: PreparedStudy, slices: int | None) -> ExplainedRegion:
    first, end = explained_slices(answer, None if study.alignment is not None else slices)
    region = torch.zeros_like(marked)
    region[first:end] = marked[first:end]
    index = study.task.classes.index(answer.class_name)
    return ExplainedRegion(
        answer.number, answer.class_name, index, answer.key_slice, region, ClassMargin(index).record(), slice(first, end)
    )


@dataclass(frozen=True)
class ClassTrial:
    """Pictures of one answer and their maps.

    Attributes:
        network: the network that was explained.
        study: the study.
        rows: int64 [n], which of its pictures.
        answer: their class, int64 [n].
        maps: float32 [n, *space of a picture]; of a volume [1, *network space].
        method: the explainer.
        windows: none: whole pictures are tried.
    """

    network: nn.Module
    study: PreparedStudy
    rows: Tensor
    answer: Tensor
    maps: Tensor
    method: Method
    windows: None = None

    def by(self, network: nn.Module) -> Tensor:
        """Return the maps of the same pictures by another network."""
        return self._explain_by(network, ClassMargin(self.answer))

    def gap(self, network: nn.Module, baseline: float) -> Tensor:
        """Return the class margin less that of even pictures."""
        pictures = pictures_of(self.study)[self.rows]
        target = ClassMargin(self.answer)
        seen, plain = (class_logits(network, image, self.study) for image in (pictures, torch.full_like(pictures, baseline)))
        return (target(seen) - target(plain)).double()

    def parts(self) -> Tensor:
        """Return the sum of the maps of the logits that the margin is made of."""
        parts = margin_parts(self.answer, len(self.study.task.classes))
        return torch.stack([sign * self._explain_by(self.network, target) for sign, target in parts]).sum(0)

    def moved(self) -> None:
        """Return nothing: an answer about a whole picture is nowhere else."""

    def _explain_by(self, network: nn.Module, target: Any) -> Tensor:
        maps = explain_classes(network, self.study, self.rows, target, self.method)
        return maps[self.rows] if self.study.alignment is None else maps[None]
