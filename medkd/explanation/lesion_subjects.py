"""Lesions that were segmented: frozen, compared with what the teacher and the study's own segmentation mark, explained and tried."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from data_contracts import ExplanationRequest, LesionFinding, MeasureValue, TaskKind, VolumeRef
from medkd.explanation.against_teacher import agreed_first, likeness_of, missed_by_student, parts_of
from medkd.explanation.asked_place import voxel_asked
from medkd.explanation.explain_lesions import explain_lesions
from medkd.explanation.explain_windows import margin_in_windows, windows_of
from medkd.explanation.subjects import ExplainedRegion, Method, StudyFindings, chosen
from medkd.inference.components import smallest_voxels
from medkd.inference.lesions import find_lesions
from medkd.inference.pooled_features import patch_round, pooled_features
from medkd.inference.segment import PreparedStudy, logits_of, on_network, segment
from medkd.targets import LesionMargin

#: Windows on which an explainer is tried: a lesion that goes through a whole head lies in more than a hundred, and a test explains it six times.
MOST_WINDOWS = 8


class LesionStudyExplainer:
    """Connected components of every foreground class: what the teacher marks too first, then the larger; masks and numbers are frozen.

    Args:
        networks: by role; the student is asked, the teacher (where there is one) compared with.
        study: the study.
        volume: its record.
        request: which of them are explained.
        label: the study's own segmentation [slice, row, column], where it has one.
    """

    kind = TaskKind.SEGMENTATION

    def __init__(
        self, networks: Mapping[str, nn.Module], study: PreparedStudy, volume: VolumeRef, request: ExplanationRequest, label: Tensor | None
    ) -> None:
        self._study, names, smallest = study, study.task.classes, smallest_voxels(volume.space)
        marked = {role: segment(network, study) for role, network in networks.items()}
        masks = {role: {index: values == index for index in range(1, len(names))} for role, values in marked.items()}
        components = [
            (lesion, region, index)
            for index, mask in masks["student"].items()
            for lesion, region in find_lesions(mask, volume.space, class_name=names[index], smallest=smallest)
        ]
        teacher = masks.get("teacher", {})
        ordered = agreed_first(components, teacher)
        # A label that knows one structure only can be compared with a network that does.
        reference = parts_of(label) if label is not None and len(names) == 2 else None
        parts = {index: parts_of(mask) for index, mask in teacher.items()}
        lesions = []
        for number, (lesion, region, index) in enumerate(ordered, 1):
            shared = likeness_of(region, parts[index]) if teacher else None
            lesions.append(
                LesionFinding(
                    **{**lesion.model_dump(), "tracking_id": f"lesion-{number}"},
                    share_in_teacher=None if shared is None else shared.share,
                    dice_to_teacher=None if shared is None else shared.dice,
                    dice_to_reference=None if reference is None else likeness_of(region, reference).dice,
                )
            )
        self.found = StudyFindings(
            lesions=tuple(lesions),
            teacher_only=missed_by_student(masks["student"], teacher, names, volume.space, smallest=smallest),
            arrays={f"segmentation/{role}": values for role, values in marked.items()},
        )
        if request.place is not None:
            asked, inside = voxel_asked(study, request, marked["student"])
            self.subjects: Sequence[ExplainedRegion] = [asked]
            self._inside = inside[None]
            return
        places = chosen([f"{lesion.class_name}, {lesion.voxels} voxels" for lesion in lesions], request)
        self.subjects = [_subject(lesions[place], ordered[place][1], ordered[place][2], study) for place in places]
        self._inside = torch.stack([on_network(study, one.region[None])[0] for one in self.subjects]) if self.subjects else torch.empty(0)

    def outside(self, subject: ExplainedRegion) -> Tensor:
        """Return where nothing was found."""
        del subject
        return self.found.arrays["segmentation/student"] == 0

    def explain(self, network: nn.Module, method: Method) -> Tensor:
        """Return the maps of all lesions, [lesion, *network space]."""
        return explain_lesions(network, self._study, self._inside, [one.index for one in self.subjects], method)

    def trial(self, network: nn.Module, maps: Tensor, method: Method) -> LesionTrial:
        """Return the trial of an explainer on the first lesion; one that lies in many windows is tried on those that hold most of it."""
        inside, index = self._inside[0], self.subjects[0].index
        windows = self._windows
        if len(windows) <= MOST_WINDOWS:
            return LesionTrial(network, self._study, inside, index, maps[:1], method)
        tried = windows[:MOST_WINDOWS]
        trial = LesionTrial(network, self._study, inside, index, maps[:1], method, tried, len(windows))
        return replace(trial, maps=trial.by(network))

    @functools.cached_property
    def _windows(self) -> tuple[int, ...]:
        if self._study.alignment is None:
            return ()
        return windows_of(tuple(self._study.image.shape[1:]), self._study.task, self._inside[0])

    def features(self, network: nn.Module) -> Tensor:
        """Return the features within each lesion: of a volume in the patch round it, of pictures on its key slice."""
        if self._study.alignment is None:
            slices = [one.key_slice for one in self.subjects]
            masks = torch.stack([inside[index] for inside, index in zip(self._inside, slices, strict=True)])
            return pooled_features(network, self._study.image[slices], masks)[0]
        cut = [patch_round(self._study.image, inside, self._study.task.image_size) for inside in self._inside]
        images, masks = (torch.stack(parts) for parts in zip(*cut, strict=True))
        return pooled_features(network, images, masks)[0]

    def faithfulness(self, network: nn.Module, place: int, attribution: Tensor) -> tuple[MeasureValue, ...]:
        """Return nothing: hiding thousands of voxels of a volume step by step is asked of cohorts."""
        del network, place, attribution
        return ()


def _subject(lesion: LesionFinding, region: Tensor, index: int, study: PreparedStudy) -> ExplainedRegion:
    target = LesionMargin(region[None], index).record()
    span = slice(None) if study.alignment is not None else slice(lesion.first_slice, lesion.last_slice + 1)
    return ExplainedRegion(lesion.number, lesion.class_name, index, lesion.key_slice, region, target, span)


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
        only: windows that it is tried on; None tries it on all.
        lies_in: windows that have a say in the lesion, where it is not tried on all.
    """

    network: nn.Module
    study: PreparedStudy
    inside: Tensor
    index: int
    maps: Tensor
    method: Method
    only: tuple[int, ...] | None = None
    lies_in: int = 0

    @property
    def windows(self) -> tuple[int, int] | None:
        """Return in how many windows the lesion lies and on how many it is tried; None where it is tried on all."""
        return None if self.only is None else (self.lies_in, len(self.only))

    def by(self, network: nn.Module) -> Tensor:
        """Return the lesion's map by another network."""
        return self._explain_by(self.inside[None], network, self.only)

    def gap(self, network: nn.Module, baseline: float) -> Tensor:
        """Return the lesion's margin less that of an even image."""
        plain = torch.full_like(self.study.image, baseline)
        margins = []
        for image in (self.study.image, plain):
            if self.only is not None:
                margins.append(margin_in_windows(network, image, self.study.task, self.inside, self.index, self.only))
                continue
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
        parts, away = halves(self.inside), elsewhere(self.inside)
        if self.only is None:
            return self._explain_by(torch.stack([*parts, away]), self.network)
        there = windows_of(tuple(self.study.image.shape[1:]), self.study.task, away)[: len(self.only)]
        pieces = [(torch.stack(parts), self.only), (away[None], there)]
        return torch.cat([self._explain_by(masks, self.network, only) for masks, only in pieces])

    def _explain_by(self, masks: Tensor, network: nn.Module, only: tuple[int, ...] | None = None) -> Tensor:
        return explain_lesions(network, self.study, masks, [self.index] * len(masks), self.method, only=only)


def halves(inside: Tensor) -> tuple[Tensor, Tensor]:
    """Return two masks that make up one: its first and its last voxels."""
    places = inside.flatten().nonzero()[:, 0]
    first = torch.zeros_like(inside.flatten())
    first[places[: len(places) // 2]] = 1
    return first.view(inside.shape), inside - first.view(inside.shape)


def elsewhere(inside: Tensor) -> Tensor:
    """Return the same mask half the image away along its last axis, where nothing was found."""
    return inside.roll(inside.shape[-1] // 2, -1) * (1 - inside)
