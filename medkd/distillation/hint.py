"""Hints: the student's last features, brought to the teacher's channels by a learned 1x1 projection, follow the teacher's."""

from __future__ import annotations

from torch import nn
from torch.nn import functional

from data_contracts import KnowledgeError
from medkd.distillation._reduce import asked, over_batch
from medkd.knowledge.interface import LAST, Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "features", "projector"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "FitNets, Romero et al. 2015 (1412.6550)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def hint(student: Trace, teacher: Knowledge | None, sample: Sample, *, grid: int = 8, projector: nn.Module | None = None) -> Scalar:
    """Return the mean squared distance of features, in units of the teacher's mean square of the case.

    Features are averaged to at most ``grid`` cells along each axis. Dividing by the teacher's mean square makes the weight independent of
    how large its features happen to be.

    Args:
        student: trace with the ``cam_layer`` tapped.
        teacher: gives its features of the same layer.
        sample: weights of the cases.
        grid: cells along each axis.
        projector: 1x1 convolution from the student's channels to the teacher's; the objective finds its size and trains it with the
            student. None compares the features as they are.

    Raises:
        KnowledgeError: ``HINT_CHANNELS`` when the numbers of channels differ and there is no projector.
    """
    theirs = asked(teacher, "hint").features(LAST).float()
    mine = student.feature(student.anatomy.cam_layer).float()
    if projector is not None:
        mine = projector(mine).float()
    if mine.shape[1] != theirs.shape[1]:
        raise KnowledgeError(
            "HINT_CHANNELS", f"expected {theirs.shape[1]} channels as the teacher's features have, got {mine.shape[1]} and no projector"
        )
    pool = functional.adaptive_avg_pool2d if mine.ndim == 4 else functional.adaptive_avg_pool3d
    size = [min(grid, extent) for extent in theirs.shape[2:]]
    mine, theirs = pool(mine, size), pool(theirs, size)  # type: ignore[arg-type]
    scale = theirs.square().flatten(1).mean(1).clamp_min(1e-8)
    return over_batch((mine - theirs).square().flatten(1).mean(1) / scale, sample)
