"""Training cases whose labels do not show some classes: what a student knows of them is its teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from data_contracts import DataError, Task
from medkd.cohorts.tensor_cohort import MISSING, WITHOUT_LABEL, TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort

Opened = TypeVar("Opened", TensorCohort, VolumeCohort)


def hide_classes(cohort: Opened, task: Task, hidden: Sequence[str], *, keep_cases: bool) -> Opened:
    """Return a cohort whose labels show none of some classes; without any the cohort itself.

    Cases of a hidden class are left out of a classification, or stay without their label; voxels of one are without a label in a
    segmentation, and are nowhere counted as lesion. Masks of a classification stay with the cases that stay.

    Args:
        cohort: opened for training or for choosing weights.
        task: names the classes.
        hidden: names of classes.
        keep_cases: whether images of a hidden class stay (classification).

    Raises:
        DataError: ``COHORT_EMPTY`` when no case is left.
    """
    if not hidden:
        return cohort
    indices = torch.tensor([task.classes.index(name) for name in hidden])
    if isinstance(cohort, VolumeCohort):
        return replace(cohort, labels=tuple(_without(label, indices) for label in cohort.labels))
    if task.kind.is_dense:
        return replace(cohort, masks=_without(cohort.masks, indices))
    shown = ~torch.isin(cohort.labels, indices)
    if not bool(shown.any()):
        raise DataError("COHORT_EMPTY", f"expected training cases of a class that is not hidden, all {len(cohort)} are of {list(hidden)}")
    if keep_cases:
        return replace(cohort, labels=cohort.labels.masked_fill(~shown, MISSING))
    return cohort.select(shown.nonzero()[:, 0])


def _without(label: Tensor, indices: Tensor) -> Tensor:
    return label.masked_fill(torch.isin(label, indices.to(label)), WITHOUT_LABEL)
