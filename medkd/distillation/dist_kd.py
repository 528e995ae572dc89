"""Ranks instead of values: the student's order of classes, and of cases within a class, follows the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.distillation._reduce import over_batch, over_voxels, require_teacher
from medkd.distillation._together import all_cases
from medkd.knowledge.interface import Knowledge
from medkd.task_context import TWO_CLASSES, TaskContext
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "DIST, Huang et al. NeurIPS 2022 (2205.10536)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True
MIN_CLASSES = 3
BATCH_COUPLED = True
_TINY = 1e-8


def dist_kd(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, inter: float = 1.0, intra: float = 1.0, temperature: Number = 1.0
) -> Scalar:
    """Return T^2 (inter (1 - rho over classes) + intra (1 - rho within classes)) with rho Pearson's correlation of probabilities.

    Over classes: of each voxel's (or case's) distribution. Within a class: of its probabilities over the cases of the batch
    (classification) or over the voxels of each case (segmentation).

    Args:
        student: logits [batch, classes, *space].
        teacher: its logits, same shape.
        sample: weights (a case of weight 0 is left out of the correlations) and valid mask.
        inter: weight of the first; needs three classes.
        intra: weight of the second; meaningful for two classes too.
        temperature: T of both distributions.
    """
    teacher_p = (require_teacher(teacher, "dist_kd").logits().float() / temperature).softmax(1)
    student_p = (student.logits.float() / temperature).softmax(1)
    if student_p.ndim == 2:
        within = _within_batch(student_p, teacher_p, sample)
    else:
        shares = _shares(sample, student_p)
        within = over_batch((1 - _correlation(student_p.flatten(2), teacher_p.flatten(2), shares)).mean(1), sample)
    value = intra * within
    if inter > 0:
        over = 1 - _correlation(student_p.movedim(1, -1), teacher_p.movedim(1, -1), None)
        value = value + inter * over_batch(over if over.ndim == 1 else over_voxels(over, sample.valid_mask), sample)
    return temperature**2 * value


def incompatible_reason(context: TaskContext, *, inter: object = 1.0, **_: object) -> str | None:
    """Two probabilities correlate perfectly, or perfectly not."""
    if context.classes < MIN_CLASSES and inter != 0:
        return (
            "the correlation of two pairs of probabilities that sum to 1 is +1 or -1 whatever they are; set inter to 0 (within a class it "
            f"stays meaningful), or {TWO_CLASSES}"
        )
    return None


def _within_batch(student_p: Tensor, teacher_p: Tensor, sample: Sample) -> Tensor:
    """Return 1 - the weighted correlation of each class's probabilities over the cases, mean over classes."""
    weights = torch.ones(len(student_p), device=student_p.device) if sample.weights is None else sample.weights.to(student_p)
    # The batch is what is correlated: with several processes, all of theirs.
    all_student, all_teacher, shares = all_cases(student_p), all_cases(teacher_p), all_cases(weights)
    return (1 - _correlation(all_student.T, all_teacher.T, shares[None])).mean()


def _shares(sample: Sample, student_p: Tensor) -> Tensor | None:
    return None if sample.valid_mask is None else sample.valid_mask.flatten(1)[:, None].to(student_p)


def _correlation(first: Tensor, second: Tensor, weights: Tensor | None) -> Tensor:
    """Return Pearson's correlation over the last axis, [...]; 0 where one of them does not vary."""
    share = torch.ones_like(first) if weights is None else weights.expand_as(first)
    share = share / share.sum(-1, keepdim=True).clamp_min(_TINY)
    a, b = ((values - (values * share).sum(-1, keepdim=True)) for values in (first, second))
    # Each under its own root: the product of two small variances would be lost in float32.
    scale = ((share * a * a).sum(-1) + _TINY**2).sqrt() * ((share * b * b).sum(-1) + _TINY**2).sqrt()
    return (share * a * b).sum(-1) / scale
