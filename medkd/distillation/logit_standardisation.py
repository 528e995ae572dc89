"""Soft targets without their scale: a small student need not reach a large teacher's logits, only their shape."""

from __future__ import annotations

from torch import Tensor

from medkd.distillation._reduce import divergence, require_teacher, tempered
from medkd.knowledge.interface import Knowledge
from medkd.task_context import TWO_CLASSES, TaskContext
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "logit standardisation, Sun et al. CVPR 2024 (2403.01427)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True
MIN_CLASSES = 3
_TINY = 1e-7


def logit_standardisation(student: Trace, teacher: Knowledge | None, sample: Sample, *, temperature: Number = 2.0) -> Scalar:
    """Return T^2 KL(softmax(Z(teacher)/T) || softmax(Z(student)/T)) with Z the z-score over the classes of a voxel.

    Args:
        student: logits [batch, classes, *space], three classes or more.
        teacher: its logits, same shape.
        sample: weights and valid mask.
        temperature: T; the paper's base temperature.
    """
    teacher_z, student_z = _z_score(require_teacher(teacher, "logit_standardisation").logits().float()), _z_score(student.logits.float())
    return tempered(divergence(teacher_z, student_z, temperature), sample, temperature)


def incompatible_reason(context: TaskContext, **_: object) -> str | None:
    """Two logits have one z-score."""
    if context.classes < MIN_CLASSES:
        return f"the z-score of two logits is +0.71 and -0.71 whatever the confidence; {TWO_CLASSES}"
    return None


def _z_score(logits: Tensor) -> Tensor:
    deviation = (logits.var(1, keepdim=True) + _TINY**2).sqrt()
    return (logits - logits.mean(1, keepdim=True)) / deviation
