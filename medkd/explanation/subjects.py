"""What is explained of a study, by the kind of its task: lesions that were segmented, or classes that were answered; and how each is tried."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from data_contracts import ClassAnswer, ExplanationError, Lesion, MeasureValue, TargetRecord, Task, VolumeRef
from medkd.explanation.explain_classes import explain_classes
from medkd.explanation.explain_lesions import explain_lesions
from medkd.explanation.measures_of_maps import class_perturbation, margin_parts, measure_value
from medkd.inference.classify import class_logits, pictures_of
from medkd.inference.lesions import find_lesions
from medkd.inference.segment import PreparedStudy, logits_of, on_network, segment
from medkd.measures.deletion import deletion
from medkd.measures.insertion import insertion
from medkd.targets import ClassMargin, LesionMargin

#: Components smaller than this are noise at a millimetre.
SMALLEST_VOXELS = 20
#: Pictures of an answer that an explainer is tried on.
TRIED = 8


@dataclass(frozen=True)
class Method:
    """An explainer as it is asked: its name in the catalogue, its options (networks among them), the seed of what it draws."""

    explainer: str
    options: Mapping[str, Any]
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
        lesion: for tasks that segment.
        answer: for tasks that classify.
    """

    number: int
    class_name: str
    index: int
    key_slice: int
    region: Tensor
    target: TargetRecord
    lesion: Lesion | None = None
    answer: ClassAnswer | None = None


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

    def explain(self, network: nn.Module, method: Method) -> Tensor:
        """Return the maps of all subjects, [subject, *network space], in one pass."""
        ...

    def trial(self, network: nn.Module, maps: Tensor, method: Method) -> SanityTrial:
        """Return the trial of an explainer on the first subject, from the maps of all."""
        ...

    def faithfulness(self, network: nn.Module, place: int, attribution: Tensor) -> tuple[MeasureValue, ...]:
        """Return what hiding by the map [*network space] of the subject at ``place`` does to the network's answer, where that is measured."""
        ...


def chosen(subjects: Sequence[ExplainedRegion], wanted: int | None) -> list[int]:
    """Return the places of the subjects that are explained: all, or the one that was asked.

    Raises:
        ExplanationError: ``LESION_UNKNOWN`` for one that is not there, where there are any.
    """
    if wanted is None or not subjects:
        return list(range(len(subjects)))
    if wanted > len(subjects):
        told = [f"{one.lesion.voxels} voxels" if one.lesion else f"slices from {one.key_slice + 1}" for one in subjects]
        listed = ", ".join(f"{one.number} ({one.class_name}, {size})" for one, size in zip(subjects, told, strict=True))
        raise ExplanationError("LESION_UNKNOWN", f"expected one of the findings {listed}, got {wanted}")
    return [wanted - 1]


class LesionStudyExplainer:
    """Connected components of every foreground class, largest first; their masks and numbers are frozen.

    Args:
        network: the network that is asked.
        study: the study.
        volume: its record.
        task: of the network.
        only: number of the only lesion that is explained.
    """

    def __init__(self, network: nn.Module, study: PreparedStudy, volume: VolumeRef, task: Task, only: int | None = None) -> None:
        answer, self._study = segment(network, study), study
        found = [
            (lesion, region, index)
            for index, name in enumerate(task.classes[1:], 1)
            for lesion, region in find_lesions(answer == index, volume.geometry, class_name=name, smallest=SMALLEST_VOXELS)
        ]
        found.sort(key=lambda item: -item[0].voxels)
        subjects = [
            _lesion_subject(number, lesion, region, index, task.classes[index]) for number, (lesion, region, index) in enumerate(found, 1)
        ]
        self.subjects: Sequence[ExplainedRegion] = [subjects[place] for place in chosen(subjects, only)]
        self._inside = torch.stack([on_network(study, one.region[None])[0] for one in self.subjects]) if self.subjects else torch.empty(0)

    def explain(self, network: nn.Module, method: Method) -> Tensor:
        """Return the maps of all lesions, [lesion, *network space]."""
        classes = [one.index for one in self.subjects]
        return explain_lesions(
            network, self._study, self._inside, classes, explainer=method.explainer, options=method.options, seed=method.seed
        )

    def trial(self, network: nn.Module, maps: Tensor, method: Method) -> LesionTrial:
        """Return the trial of an explainer on the first lesion."""
        return LesionTrial(network, self._study, self._inside[0], self.subjects[0].index, maps[:1], method)

    def faithfulness(self, network: nn.Module, place: int, attribution: Tensor) -> tuple[MeasureValue, ...]:
        """Return nothing: hiding thousands of voxels of a volume step by step is asked of cohorts."""
        del network, place, attribution
        return ()


def _lesion_subject(number: int, lesion: Lesion, region: Tensor, index: int, name: str) -> ExplainedRegion:
    numbered = lesion.model_copy(update={"tracking_id": f"lesion-{number}"})
    return ExplainedRegion(number, name, index, lesion.key_slice, region, LesionMargin(region[None], index).record(), lesion=numbered)


@dataclass(frozen=True)
class LesionTrial:
    """One lesion and its map.

    Attributes:
        network: the network that was explained.
        study: the study.
        inside: the frozen lesion, uint8 [*network space].
        index: its class.
        maps: its map, [1, *network space].
        method: the explainer.
    """

    network: nn.Module
    study: PreparedStudy
    inside: Tensor
    index: int
    maps: Tensor
    method: Method

    def by(self, network: nn.Module) -> Tensor:
        """Return the lesion's map by another network."""
        return self._explain_by(self.inside[None], network)

    def gap(self, network: nn.Module, baseline: float) -> Tensor:
        """Return the lesion's margin less that of an even image."""
        plain = torch.full_like(self.study.image, baseline)
        margins = []
        for image in (self.study.image, plain):
            logits = logits_of(network, self.study, image)
            margins.append(((logits[self.index] - logits[0]).double() * self.inside).sum())
        return (margins[0] - margins[1])[None]

    def parts(self) -> Tensor:
        """Return the sum of the maps of the lesion's first and last voxels."""
        return self._pieces[:2].sum(0, keepdim=True)

    def moved(self) -> Tensor:
        """Return the map of the same mask half the image away."""
        return self._pieces[2:]

    @functools.cached_property
    def _pieces(self) -> Tensor:
        return self._explain_by(torch.stack([*halves(self.inside), elsewhere(self.inside)]), self.network)

    def _explain_by(self, masks: Tensor, network: nn.Module) -> Tensor:
        method = self.method
        return explain_lesions(
            network,
            self.study,
            masks,
            [self.index] * len(masks),
            explainer=method.explainer,
            options=method.options,
            seed=method.seed,
        )


def halves(inside: Tensor) -> tuple[Tensor, Tensor]:
    """Return two masks that make up one: its first and its last voxels."""
    places = inside.flatten().nonzero()[:, 0]
    first = torch.zeros_like(inside.flatten())
    first[places[: len(places) // 2]] = 1
    return first.view(inside.shape), inside - first.view(inside.shape)


def elsewhere(inside: Tensor) -> Tensor:
    """Return the same mask half the image away along its last axis, where nothing was found."""
    return inside.roll(inside.shape[-1] // 2, -1) * (1 - inside)


class ClassStudyExplainer:
    """Answers of a classifier: each run of neighbouring slices with one answer, longest first; of a volume the only one.

    Args:
        network: the network that is asked.
        study: the study.
        volume: its record.
        task: of the network.
        label: what the study's own segmentation marks, [slice, row, column]; maps are then judged by where it lies.
        only: number of the only answer that is explained.
    """

    def __init__(
        self,
        network: nn.Module,
        study: PreparedStudy,
        volume: VolumeRef,
        task: Task,
        label: Tensor | None = None,
        only: int | None = None,
    ) -> None:
        self._study, self._pictures = study, pictures_of(study)
        probability = class_logits(network, self._pictures, study).softmax(1)
        self._classes = probability.argmax(1)
        marked = torch.zeros(volume.geometry.shape, dtype=torch.uint8) if label is None else (label > 0).to(torch.uint8)
        found = []
        for first, last in runs_of(self._classes):
            index = int(self._classes[first])
            own = probability[first : last + 1, index]
            # Of a volume the one picture is the patch in its middle: all slices, the middle one to look at.
            span = (first, last) if study.alignment is None else (0, volume.geometry.shape[0] - 1)
            key = first + int(own.argmax()) if study.alignment is None else span[1] // 2
            found.append((span, key, index, float(own.mean())))
        found.sort(key=lambda item: item[0][0] - item[0][1])
        subjects = []
        for number, ((first, last), key, index, mean) in enumerate(found, 1):
            answer = ClassAnswer(
                number=number, class_name=task.classes[index], probability=mean, first_slice=first, last_slice=last, key_slice=key
            )
            region = torch.zeros_like(marked)
            region[first : last + 1] = marked[first : last + 1]
            target = ClassMargin(index).record()
            subjects.append(ExplainedRegion(number, task.classes[index], index, key, region, target, answer=answer))
        self.subjects: Sequence[ExplainedRegion] = [subjects[place] for place in chosen(subjects, only)]

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
        answer = self.subjects[place].answer
        return (
            torch.arange(answer.first_slice, answer.last_slice + 1) if answer and self._study.alignment is None else torch.zeros(1).long()
        )

    def _explain_by(self, network: nn.Module, rows: Tensor, method: Method) -> Tensor:
        target = ClassMargin(self._classes[rows])
        return explain_classes(network, self._study, rows, target, explainer=method.explainer, options=method.options, seed=method.seed)


def runs_of(values: Tensor) -> list[tuple[int, int]]:
    """Return first and last place of every run of equal values, [n] int64."""
    ends = [*(values.diff().nonzero()[:, 0].tolist()), len(values) - 1]
    return list(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True))


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
    """

    network: nn.Module
    study: PreparedStudy
    rows: Tensor
    answer: Tensor
    maps: Tensor
    method: Method

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
        method = self.method
        maps = explain_classes(network, self.study, self.rows, target, explainer=method.explainer, options=method.options, seed=method.seed)
        return maps[self.rows] if self.study.alignment is None else maps[None]
