"""Invented cases of a recipe's shape: noise with a box of each class, enough of them for a few batches."""

from __future__ import annotations

import torch

from data_contracts import Case, Ref, Task
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.seeds import derive_seed

_NOWHERE = Ref(store="run", key="none", sha256="0" * 64)
#: How much longer the axes of an invented volume are than the patch that is cut from it.
_LARGER = 1.25


def invented_cases(task: Task, count: int) -> TensorCohort | VolumeCohort:
    """Return cases in the form that training draws from: volumes to be segmented are cut anew for every batch, all else is one array.

    Args:
        task: its size, classes and kind.
        count: how many.
    """
    generator = torch.Generator().manual_seed(derive_seed("invented cases", count))
    classes = len(task.classes)
    cases = tuple(
        Case(case_key=f"c{row}", patient_key=f"p{row}", image=_NOWHERE, mask=_NOWHERE, label=row % classes) for row in range(count)
    )
    if task.spatial_dims == 3 and task.kind.is_dense:
        size = tuple(int(extent * _LARGER) for extent in task.image_size)
        return VolumeCohort(
            cases=cases,
            images=tuple(torch.randn(task.in_channels, *size, generator=generator) for _ in cases),
            labels=tuple(_boxes((1, *size), classes)[0] for _ in cases),
            has_label=(True,) * count,
            alignments=(),  # none of these is scored
            references=(),
            synthetic=(None,) * count,
        )
    shape = (count, *task.image_size)
    return TensorCohort(
        cases=cases,
        images=torch.rand((count, task.in_channels, *task.image_size), generator=generator) * 2 - 1,
        labels=torch.arange(count) % classes,
        masks=_boxes(shape, classes if task.kind.is_dense else 2),
        has_mask=torch.ones(count, dtype=torch.bool),
        valid=torch.ones(shape, dtype=torch.bool),
        markers=torch.zeros(count, dtype=torch.bool),
    )


def _boxes(shape: tuple[int, ...], classes: int) -> torch.Tensor:
    """Return uint8 label maps [n, *space] with a box of each class but the first, side by side along the last axis."""
    labels = torch.zeros(shape, dtype=torch.uint8)
    middle = tuple(slice(extent // 4, max(extent // 4 + 1, 3 * extent // 4)) for extent in shape[1:-1])
    width = max(1, shape[-1] // (2 * classes))
    for label in range(1, classes):
        begin = shape[-1] // 4 + (label - 1) * width
        labels[(slice(None), *middle, slice(begin, begin + width))] = label
    return labels
