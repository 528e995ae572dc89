"""Boxes of a detector: where the teacher is sure of a lesion, the student's box follows the teacher's."""

from __future__ import annotations

from medkd.distillation._cells import BOXES, box_head, lesion_logits, smooth_distance
from medkd.distillation._reduce import over_batch, require_teacher
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "boxes"})
TASKS = frozenset({"detection"})
SOURCE = "Chen et al. 2017 (NeurIPS, learning efficient object detection models): the teacher bounds what is worth copying"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def box_kd(student: Trace, teacher: Knowledge | None, sample: Sample, *, sure: float = 0.3) -> Scalar:
    """Return the smooth L1 distance of both box heads, in cells, mean over the cells whose score the teacher puts above ``sure``.

    Args:
        student: trace of a detector.
        teacher: a detector of the same stride.
        sample: weights of the cases; one in which the teacher is sure of nothing does not count.
        sure: least score.

    Raises:
        RecipeError: ``RECIPE_NEEDS`` for a network without a box head.
    """
    knowledge = require_teacher(teacher, "box_kd")
    found, wanted = box_head(student, "box_kd"), knowledge.features(BOXES).float()
    inside = lesion_logits(knowledge.logits()).sigmoid().amax(1) > sure
    values, present = smooth_distance(found, wanted, inside)
    return over_batch(values, sample, present)
