"""Soft targets in two parts: how sure the teacher is of the true class, and what it knows about the others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medkd.distillation._reduce import log_divergence, require_teacher, tempered
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import answer_of
from medkd.task_context import TWO_CLASSES, TaskContext
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher", "labels"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "DKD, Zhao et al. CVPR 2022 (2203.08679)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True
MIN_CLASSES = 3


def decoupled_kd(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, alpha: float = 1.0, beta: float = 4.0, temperature: Number = 4.0
) -> Scalar:
    """Return T^2 (alpha KL(b_t || b_s) + beta KL(q_t || q_s)): b = (true class, all others), q = the others among themselves.

    Plain soft targets weigh the second part by the teacher's doubt, 1 - p_t(true), which is small where it knows most.

    Args:
        student: logits [batch, classes, *space], three classes or more.
        teacher: its logits, same shape.
        sample: labels [batch, *space]; where they are missing (-1) the teacher's answer stands for them; weights, valid mask.
        alpha: weight of the true class's part.
        beta: weight of the others' part.
        temperature: T of both.
    """
    teacher_logits, student_logits = require_teacher(teacher, "decoupled_kd").logits().float(), student.logits.float()
    answer = answer_of(teacher_logits)
    # Unlabelled cases too: there the class that the teacher answers is the true one as far as anybody knows.
    labels = answer if sample.labels is None else torch.where(sample.labels >= 0, sample.labels.long(), answer)
    true = functional.one_hot(labels, teacher_logits.shape[1]).movedim(-1, 1).bool()
    log_teacher, log_student = _log_parts(teacher_logits / temperature, true), _log_parts(student_logits / temperature, true)
    target, others = (
        log_divergence(teacher_log_p, student_log_p) for teacher_log_p, student_log_p in zip(log_teacher, log_student, strict=True)
    )
    return tempered(alpha * target + beta * others, sample, temperature)


def incompatible_reason(context: TaskContext, **_: object) -> str | None:
    """One other class has nothing to share its probability with."""
    if context.classes < MIN_CLASSES:
        return f"with one other class its share among the others is always 1, so that the second part is always 0; {TWO_CLASSES}"
    return None


def _log_parts(logits: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probabilities of (true, any other), [batch, 2, *space], and of the others among themselves, [batch, classes - 1, *space]."""
    log_p = functional.log_softmax(logits, dim=1)
    classes = logits.shape[1]
    # Class last, so that a boolean pick keeps the others of each voxel side by side.
    rows, picked = log_p.movedim(1, -1), true.movedim(1, -1)
    others = rows[~picked].reshape(*rows.shape[:-1], classes - 1).movedim(-1, 1)
    any_other = torch.logsumexp(others, dim=1)
    of_true = rows[picked].reshape(rows.shape[:-1])
    return torch.stack([of_true, any_other], 1), others - any_other.unsqueeze(1)
