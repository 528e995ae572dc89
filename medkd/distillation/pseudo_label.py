"""The teacher's answer as a hard label: what is left of a teacher when only its decisions are handed on."""

from __future__ import annotations

from dataclasses import replace

from medkd.distillation._reduce import require_teacher
from medkd.distillation.cross_entropy import cross_entropy
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import answer_of
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "pseudo-labels, Lee 2013; as a distillation baseline: Beyer et al. 2022 (2106.05237)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = False


def pseudo_label(student: Trace, teacher: Knowledge | None, sample: Sample, *, dice: float = 1.0) -> Scalar:
    """Return ``cross_entropy`` with the teacher's most probable class as the label, wherever there is a valid voxel.

    Args:
        student: logits [batch, classes, *space].
        teacher: its logits, same shape.
        sample: weights and valid mask.
        dice: weight of the Dice loss in segmentation, as in ``cross_entropy``.
    """
    answers = answer_of(require_teacher(teacher, "pseudo_label").logits())
    return cross_entropy(student, None, replace(sample, labels=answers), dice=dice)
