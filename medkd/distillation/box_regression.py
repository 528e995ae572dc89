"""A detector's own term: cells near a lesion's centre say where it is and how large."""

from __future__ import annotations

from medkd.distillation._cells import box_head, cells_of, smooth_distance
from medkd.distillation._reduce import over_batch
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"labels", "boxes"})
TASKS = frozenset({"detection"})
SOURCE = "smooth L1: Girshick 2015 (1504.08083); offsets and log sizes: Ren et al. 2015 (1506.01497)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = False


def box_regression(student: Trace, teacher: Knowledge | None, sample: Sample) -> Scalar:
    """Return the smooth L1 distance of offsets and log sizes, in cells, mean over the cells near centres; cases without lesions do not count.

    Args:
        student: trace of a detector.
        teacher: not used.
        sample: labels [batch, *space], whose components are the lesions.

    Raises:
        RecipeError: ``RECIPE_NEEDS`` for a network without a box head.
    """
    del teacher
    found, cells = box_head(student, "box_regression"), cells_of(sample, student.logits)
    values, present = smooth_distance(found, cells.boxes, cells.inside & cells.valid)
    return over_batch(values, sample, present & cells.known)
