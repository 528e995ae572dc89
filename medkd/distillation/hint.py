"""Hints: the student's last features, brought to the teacher's channels by a learned 1x1 projection, follow the teacher's."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from medkd.attribution._grid import averaged
from medkd.distillation._reduce import common_grid, matched_pair, over_batch
from medkd.knowledge.interface import LAST, Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "features", "projector"})
TASKS = frozenset({"classification", "segmentation", "detection"})
SOURCE = "FitNets, Romero et al. 2015 (1412.6550); correlation: PKD, Cao et al. 2022 (2207.02039)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True
_TINY = 1e-8


def hint(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    grid: int = 8,
    distance: Literal["squared", "correlation"] = "squared",
    layer: str = LAST,
    teacher_layer: str = LAST,
    inside: bool = False,
    projector: nn.Module | None = None,
) -> Scalar:
    """Return the distance of features: mean squared in units of the teacher's mean square of the case, or 1 - Pearson per channel.

    Features are averaged to at most ``grid`` cells along each axis. Dividing by the teacher's mean square makes the weight independent of
    how large its features happen to be; the correlation over the cells of each channel (Cao et al. 2022, PKD) also of their mean.

    Args:
        student: trace with its layer tapped.
        teacher: gives its features.
        sample: weights of the cases.
        grid: cells along each axis.
        distance: ``squared``, or ``correlation``: half the squared distance of standardised channels, in [0, 2].
        layer: the student's layer.
        teacher_layer: the teacher's.
        inside: compare the cells that hold some of the lesion only (Chen et al. 2017, of detectors); cases without a lesion do not count, nor does
            anything without masks.
        projector: 1x1 convolution from the student's channels to the teacher's; the objective finds its size and trains it with the
            student. None compares the features as they are.

    Raises:
        KnowledgeError: ``HINT_CHANNELS`` when the numbers of channels differ and there is no projector.
    """
    student_features, teacher_features = matched_pair(student, teacher, "hint", (layer, teacher_layer), projector)
    cells = common_grid(student_features, teacher_features, grid)
    student_features, teacher_features = averaged(student_features, cells), averaged(teacher_features, cells)
    present = None
    if inside:
        held = _held(sample, student_features)
        # Outside both are zero: there is nothing to tell apart. What is left is scaled as if it were everything.
        student_features, teacher_features = student_features * held, teacher_features * held
        present = held.flatten(1).any(1)
    if distance == "correlation":
        return over_batch(1 - (_standardised(student_features) * _standardised(teacher_features)).sum(2).mean(1), sample, present)
    scale = teacher_features.square().flatten(1).mean(1).clamp_min(_TINY)
    return over_batch((student_features - teacher_features).square().flatten(1).mean(1) / scale, sample, present)


def _held(sample: Sample, features: Tensor) -> Tensor:
    """Return 1 where a cell holds some of the lesion and 0 elsewhere, [batch, 1, *cells]; zeros where no masks are known."""
    if sample.masks is None:
        return features.new_zeros(len(features), 1, *features.shape[2:])
    return (averaged(sample.masks[:, None].float(), list(features.shape[2:])) > 0).to(features.dtype)


def _standardised(features: Tensor) -> Tensor:
    """Return channels [batch, features, cells] of mean zero and norm one."""
    rows = features.flatten(2)
    rows = rows - rows.mean(2, keepdim=True)
    return rows / (rows.square().sum(2, keepdim=True) + _TINY**2).sqrt()
