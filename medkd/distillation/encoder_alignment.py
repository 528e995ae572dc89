"""The encoder looks where the network answers: what a block of the encoder attributes to a lesion agrees with the network's own prediction."""

from __future__ import annotations

from torch import Tensor

from medkd.distillation._encoder_map import Method, student_map
from medkd.distillation._reduce import over_batch, pooled, unit_norm
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import answer_of
from medkd.targets import lesion_margin
from medkd.trace import ENCODER, Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"features", "encoder"})
TASKS = frozenset({"segmentation"})
SOURCE = "after Sakib et al. 2026 (2603.24801): prediction and attribution field of the last encoder block agree"
RANGE = (0.0, 2.0)
MINIMUM_AT_TEACHER = False
STOPS_GRADIENT = "the region that is explained is where the student answers a lesion, which moves by jumps"


def encoder_alignment(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, method: Method = "activation", grid: int = 16, layer: str = ENCODER
) -> Scalar:
    """Return 1 - Pearson correlation of the block's map of the predicted lesion with the predicted probability of a lesion, over cells.

    Both move towards one another: against a prediction that got no gradient the term did not lower itself on small networks (``medkd check-loss``),
    since the prediction moves with its encoder. Cases in which no lesion is predicted do not count.

    Args:
        student: trace with the block tapped and a graph, logits [batch, classes, *space].
        teacher: not used: a network agrees with itself without one.
        sample: weights of the cases.
        method: ``activation`` (closed form) or ``grad_cam`` (double backward), as in ``encoder_transfer``.
        grid: maps are averaged to at most this many cells along each axis.
        layer: the block: a name, or ``encoder`` for the deepest.
    """
    del teacher
    logits = student.logits.float()
    lesion = (answer_of(logits) > 0).byte()
    block = student_map(student, lesion_margin(lesion), method, layer, grid)
    followed = pooled(1 - logits.softmax(1)[:, 0], grid)
    correlation = (unit_norm(_centred(block)) * unit_norm(_centred(followed))).sum(1)
    return over_batch(1 - correlation, sample, lesion.flatten(1).any(1))


def _centred(rows: Tensor) -> Tensor:
    """Return rows with mean zero: a level that all cells share says nothing of where."""
    return rows - rows.mean(1, keepdim=True)
