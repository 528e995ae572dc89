"""The student is sensitive to the same voxels as the teacher: their input gradients point the same way."""

from __future__ import annotations

from medkd.attribution.saliency import saliency
from medkd.distillation._reduce import over_batch, pooled, require_teacher, unit_norm
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import teacher_target
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "explainer"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "Jacobian matching, Srinivas and Fleuret ICML 2018 (1803.00443), of the teacher's answer"
RANGE = (0.0, 4.0)
MINIMUM_AT_TEACHER = True
EXPLAINER = "saliency"


def jacobian_matching(student: Trace, teacher: Knowledge | None, sample: Sample, *, grid: int = 32) -> Scalar:
    """Return ||J_s / |J_s| - J_t / |J_t|||^2 of the gradients of the teacher's answer with respect to the image, in [0, 4].

    Double backward through the whole student: three times the price of a step in 2D, five to six times in 3D. Ask for it every few steps
    (``every`` of the term), or use it as a held-out measure.

    Args:
        student: trace whose model is asked again with a graph at the image.
        teacher: gives its logits (the answer) and its ``saliency``.
        sample: weights of the cases.
        grid: gradients are averaged to at most this many cells along each axis.
    """
    knowledge = require_teacher(teacher, "jacobian_matching")
    target, present = teacher_target(knowledge)
    teacher_map = pooled(knowledge.attribution(EXPLAINER, target).float(), grid)
    student_map = pooled(saliency(student, target, differentiable=True), grid)
    return over_batch((unit_norm(student_map) - unit_norm(teacher_map)).square().sum(1), sample, present)
