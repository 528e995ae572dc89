"""Soft targets as independent yes and no: for two classes the margin, for several labels each on its own."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from medkd.distillation._reduce import require_teacher, tempered
from medkd.knowledge.interface import Knowledge
from medkd.task_context import TaskContext
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "Hinton et al. 2015 (1503.02531) with Bernoulli instead of categorical distributions"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def binary_kd(student: Trace, teacher: Knowledge | None, sample: Sample, *, temperature: Number = 4.0) -> Scalar:
    """Return T^2 times the sum over labels of KL(Bernoulli(teacher/T) || Bernoulli(student/T)).

    Two classes are one label, their margin: the value then equals ``logit_kd``. Three or more are taken as labels of their own, which
    may all be true or none.

    Args:
        student: logits [batch, classes, *space].
        teacher: its logits, same shape.
        sample: weights and valid mask.
        temperature: T; the factor T^2 keeps gradients comparable over temperatures.
    """
    teacher_labels = _labels(require_teacher(teacher, "binary_kd").logits().float()) / temperature
    student_labels = _labels(student.logits.float()) / temperature
    # log sigmoid of both signs stays exact where sigmoid rounds to 0 or 1.
    yes = teacher_labels.sigmoid() * (functional.logsigmoid(teacher_labels) - functional.logsigmoid(student_labels))
    no = (-teacher_labels).sigmoid() * (functional.logsigmoid(-teacher_labels) - functional.logsigmoid(-student_labels))
    return tempered((yes + no).sum(1), sample, temperature)


def _labels(logits: Tensor) -> Tensor:
    return logits[:, 1:] - logits[:, :1] if logits.shape[1] == 2 else logits


def incompatible_reason(context: TaskContext, **_: object) -> str | None:
    """Three or more labels of their own are read off logits whose level counts."""
    if context.from_store and context.task == "segmentation" and context.classes > 2:
        return "a knowledge store keeps the logits of a segmentation up to a constant per voxel, and a label of its own needs that constant"
    return None
