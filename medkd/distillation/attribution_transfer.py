"""The fusion: the student's explanation of the teacher's answer follows the teacher's explanation of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor

from medkd.catalogue import EXPLAINERS
from medkd.distillation._reduce import over_batch, pooled, require_teacher, squared_distance, unit_norm
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import teacher_target
from medkd.trace import Sample, Trace, running_statistics
from medkd.trace import trace as run
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "explainer"})
TASKS = frozenset({"classification", "segmentation", "detection"})
SOURCE = "e2KD, Parchami-Araghi et al. ECCV 2024 (2402.03119); squared distance in the teacher's units: own"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def attribution_transfer(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    explainer: str = "cam",
    grid: int = 8,
    distance: Literal["cosine", "squared"] = "cosine",
    frozen_statistics: bool = False,
) -> Scalar:
    """Return the distance of E_student(x, y) and E_teacher(x, y) with y what the *teacher* answered, mean over cases with an answer.

    ``cosine`` is 1 - cosine per case, in [0, 2], as published. Its gradient is divided by the norm of the student's own map, so that it
    is worst conditioned where the student says least, at the beginning. ``squared`` is the squared distance divided by the mean squared
    norm of the teacher's maps over the batch, from 0 up, 1 for a student whose maps are zero: it also says *how much* evidence a region
    holds, and cases about which the teacher says little weigh little.

    Args:
        student: trace with the explainer's layer tapped and a graph.
        teacher: gives its logits (the target) and its map by the same explainer.
        sample: weights of the cases; voxel weights weigh the cells.
        explainer: any entry of the catalogue that declares DIFFERENTIABLE.
        grid: maps are averaged to at most this many cells along each axis before they are compared.
        distance: ``cosine`` or ``squared``.
        frozen_statistics: explain the student with its running statistics (one more forward pass): the loss then sees exactly
            the map that the report shows. Off by default: the training pass's own features cost nothing extra.
    """
    knowledge = require_teacher(teacher, "attribution_transfer")
    target, present = teacher_target(knowledge)
    method = _on_cells(explainer, grid)
    if frozen_statistics:
        with running_statistics(student.model):
            student_map = method(run(student.model, student.inputs, layers=tuple(student.features)), target, differentiable=True)
    else:
        student_map = method(student, target, differentiable=True)
    teacher_map = pooled(knowledge.attribution(explainer, target).float(), grid)
    student_map = pooled(student_map, grid)
    if sample.voxel_weights is not None:
        share = pooled(sample.voxel_weights.float(), grid).sqrt()
        student_map, teacher_map = student_map * share, teacher_map * share
    gap = (
        squared_distance(student_map, teacher_map, present)
        if distance == "squared"
        else 1 - (unit_norm(student_map) * unit_norm(teacher_map)).sum(1)
    )
    return over_batch(gap, sample, present)


def _on_cells(explainer: str, grid: int) -> Callable[..., Tensor]:
    """Return an explainer whose maps are as coarse as they are compared, where it can make them so."""
    entry = EXPLAINERS.entry(explainer)
    return partial(entry.function, max_cells=grid) if "max_cells" in entry.options() else entry.function
