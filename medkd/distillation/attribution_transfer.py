"""The fusion: the student's explanation of the teacher's answer follows the teacher's explanation of it."""

from __future__ import annotations

from medkd.catalogue import EXPLAINERS
from medkd.distillation._reduce import asked, over_batch, pooled, teacher_target, unit_norm
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace, running_statistics
from medkd.trace import trace as run
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "explainer"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "e2KD, Parchami-Araghi et al. ECCV 2024 (2402.03119)"
RANGE = (0.0, 2.0)
MINIMUM_AT_TEACHER = True


def attribution_transfer(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, explainer: str = "cam", grid: int = 8, frozen_statistics: bool = False
) -> Scalar:
    """Return 1 - cosine(E_student(x, y), E_teacher(x, y)) with y what the *teacher* answered, mean over cases that have an answer.

    Args:
        student: trace with the explainer's layer tapped and a graph.
        teacher: gives its logits (the target) and its map by the same explainer.
        sample: weights of the cases.
        explainer: any entry of the catalogue that declares DIFFERENTIABLE.
        grid: maps are averaged to at most this many cells along each axis before they are compared.
        frozen_statistics: explain the student with its running statistics (one more forward pass): the loss then sees exactly
            the map that the report shows. Off by default: the training pass's own features cost nothing extra.
    """
    knowledge = asked(teacher, "attribution_transfer")
    target, present = teacher_target(knowledge)
    method = EXPLAINERS.load(explainer)
    if frozen_statistics:
        with running_statistics(student.model):
            mine = method(run(student.model, student.inputs, layers=tuple(student.features)), target, differentiable=True)
    else:
        mine = method(student, target, differentiable=True)
    theirs = knowledge.attribution(explainer, target).float()
    cosine = (unit_norm(pooled(mine, grid)) * unit_norm(pooled(theirs, grid))).sum(1)
    return over_batch(1 - cosine, sample, present)
