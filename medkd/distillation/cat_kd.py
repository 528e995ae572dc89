"""Class attention transfer: all class maps of the teacher, pooled, in closed form; over the image or round the lesion only."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import DataError
from medkd.attribution.cam import cam
from medkd.distillation._reduce import over_batch, pooled, require_teacher, unit_norm
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import answer_of
from medkd.targets import class_logit
from medkd.task_context import TaskContext
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "head"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "CAT-KD, Guo et al. CVPR 2023 (2304.12777); restricted to the lesion: own"
RANGE = (0.0, 4.0)
MINIMUM_AT_TEACHER = True


def cat_kd(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    grid: int = 8,
    region: Literal["image", "lesion"] = "image",
    reach: int = 6,
) -> Scalar:
    """Return the squared distance of unit-norm class maps, averaged over classes: 2 (1 - cosine), so in [0, 4].

    Args:
        student: trace with the ``cam_layer`` tapped.
        teacher: gives ``attribution("cam", class_logit(c))`` for each class c of the student.
        sample: weights of the cases; masks where a classification is restricted to lesions.
        grid: maps are averaged to at most this many cells along each axis, so that grids of different size compare.
        region: ``lesion`` compares maps within ``reach`` voxels of the lesion only: the region that the teacher segments, so that it
            works without labels, or the given mask for classification. Cases without a lesion do not count.
        reach: voxels by which the lesion is grown.

    Raises:
        DataError: ``MASKS_MISSING`` when a classification is to be restricted and the batch has no masks.
    """
    knowledge = require_teacher(teacher, "cat_kd")
    within = _around(knowledge, sample, reach) if region == "lesion" else None
    distances = []
    for index in range(student.logits.shape[1]):
        target = class_logit(index)
        student_map, teacher_map = cam(student, target, differentiable=True), knowledge.attribution("cam", target).float()
        if within is not None:
            student_map, teacher_map = student_map * within, teacher_map * within
        distances.append((unit_norm(pooled(student_map, grid)) - unit_norm(pooled(teacher_map, grid))).square().sum(1))
    present = None if within is None else within.flatten(1).any(1)
    return over_batch(torch.stack(distances).mean(0), sample, present)


def incompatible_reason(context: TaskContext, **_: object) -> str | None:
    """The class maps of a segmentation are its logits, level included."""
    if context.from_store and context.task == "segmentation":
        return (
            "a knowledge store keeps the logits of a segmentation up to a constant per voxel; attribution_transfer compares class margins, "
            "which do not need it"
        )
    return None


def _around(knowledge: Knowledge, sample: Sample, reach: int) -> Tensor:
    """Return 1 within ``reach`` voxels of the lesion and 0 elsewhere, [batch, *space]."""
    logits = knowledge.logits()
    lesion = answer_of(logits) > 0 if logits.ndim > 2 else sample.masks
    if lesion is None:
        raise DataError("MASKS_MISSING", f"expected lesion masks for cat_kd with region 'lesion', this batch of {len(logits)} has none")
    pool = {2: functional.max_pool1d, 3: functional.max_pool2d, 4: functional.max_pool3d}[lesion.ndim]
    return pool((lesion > 0).float()[:, None], kernel_size=2 * reach + 1, stride=1, padding=reach)[:, 0]
