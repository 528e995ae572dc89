"""Directives brought to an opened cohort: matched by case, and on the grid that a network sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import Case, DataError, FeedbackDirectives, StudyDirective
from medkd.cohorts.case_directives import CaseDirectives, forbidden_percent
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.volumes.letterbox import letterbox_mask

#: From voxels of the study [slice, row, column] to those of one case's image.
ToImage = Callable[[NDArray[np.uint8]], Tensor]
Opened = TypeVar("Opened", TensorCohort, VolumeCohort)


def directive_of(case: Case, directives: Mapping[str, StudyDirective]) -> StudyDirective | None:
    """Return what readers said of a case, by the key of its series; a frame of a picture is ``KEY.NUMBER``."""
    return directives.get(case.case_key) or directives.get(case.case_key.rpartition(".")[0])


def with_directives(cohort: Opened, directives: FeedbackDirectives) -> Opened:
    """Return a cohort whose cases carry what readers said: of volumes by the geometry that labels are brought by, of pictures by that of masks.

    Raises:
        DataError: ``FEEDBACK_GRID`` when a region lies on another grid than its case.
    """
    by_key = {one.case_key: one for one in directives.studies}
    if isinstance(cohort, VolumeCohort):
        volumes = cohort  # a name of its own, of which the type is known below
        return replace(cohort, directives=_directives(cohort.cases, by_key, lambda row: _to_volume(volumes, row)))
    size = tuple(cohort.images.shape[2:])
    return replace(cohort, directives=_directives(cohort.cases, by_key, lambda row: _to_picture(cohort.cases[row], size)))


def taught_by(cohort: Opened, directives: FeedbackDirectives) -> Opened:
    """Return the cohort that the next student is trained on: cases that judge it are left out, with the others of their patients.

    Raises:
        DataError: ``FEEDBACK_LEAVES_NOTHING``; and as :func:`with_directives`.
    """
    judging = {one.patient_key for one in directives.of_part("eval")}
    rows = [row for row, case in enumerate(cohort.cases) if case.patient_key not in judging]
    if not rows:
        raise DataError(
            "FEEDBACK_LEAVES_NOTHING",
            f"expected cases to train on beside those that judge the student, all {len(cohort)} are of patients of the eval part; lower its share",
        )
    return with_directives(cohort.select(torch.tensor(rows)), directives)


def reviewed(cohort: Opened, directives: FeedbackDirectives) -> Opened | None:
    """Return the cases that readers gave feedback on, of both parts; None where the cohort has none."""
    by_key = {one.case_key: one for one in directives.studies}
    rows = [row for row, case in enumerate(cohort.cases) if directive_of(case, by_key) is not None]
    return with_directives(cohort.select(torch.tensor(rows)), directives) if rows else None


def _directives(cases: tuple[Case, ...], by_key: Mapping[str, StudyDirective], to_image: Callable[[int], ToImage]) -> CaseDirectives:
    found = [directive_of(case, by_key) for case in cases]
    forbidden: list[Tensor | None] = []
    for row, one in enumerate(found):
        percent = None if one is None else forbidden_percent(one.regions)
        forbidden.append(None if percent is None else to_image(row)(percent))
    return CaseDirectives(
        torch.tensor([1.0 if one is None else one.prediction_weight for one in found]),
        torch.tensor([1.0 if one is None else one.explanation_weight for one in found]),
        tuple(forbidden),
    )


def _to_picture(case: Case, size: tuple[int, ...]) -> ToImage:
    """Return how the frames of a picture come to a case: its own frame, to the task's size as its mask did."""

    def bring(percent: NDArray[np.uint8]) -> Tensor:
        """Return uint8 [row, column]."""
        number = case.case_key.rpartition(".")[2]
        frame = int(number) if len(percent) > 1 and number.isdigit() else 0
        if frame >= len(percent) or len(size) != 2:
            raise _other_grid(case, percent.shape, size)
        if percent.shape[1:] == size:
            return torch.from_numpy(percent[frame].copy())
        small = np.zeros(size, np.uint8)
        # The lower first, so that a pixel of which most is forbidden to the whole is.
        for value in sorted(set(np.unique(percent[frame]).tolist()) - {0}):
            small[letterbox_mask(percent[frame] >= value, (size[0], size[1])) > 0] = value
        return torch.from_numpy(small)

    return bring


def _to_volume(cohort: VolumeCohort, row: int) -> ToImage:
    alignment = cohort.alignments[row]

    def bring(percent: NDArray[np.uint8]) -> Tensor:
        """Return uint8 [slice, row, column] as the network sees the volume."""
        if percent.shape != tuple(alignment.source.shape):
            raise _other_grid(cohort.cases[row], percent.shape, alignment.source.shape)
        return alignment.labels_to_network(torch.from_numpy(percent))

    return bring


def _other_grid(case: Case, got: tuple[int, ...], expected: tuple[int, ...]) -> DataError:
    return DataError(
        "FEEDBACK_GRID",
        f"expected regions on the grid {'x'.join(map(str, expected))} of case {case.case_key}, the feedback is on {'x'.join(map(str, got))}; "
        "leave its entries out, or import the study as it was read",
    )
