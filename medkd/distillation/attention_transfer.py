"""Where the energy of the features is: attention of the last features, whatever their width."""

from __future__ import annotations

from torch import Tensor

from medkd.distillation._reduce import layer_pair, over_batch, pooled, unit_norm
from medkd.knowledge.interface import LAST, Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "features"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "Zagoruyko and Komodakis 2017 (1612.03928), p = 2; medical: EMKD, Qin et al. 2021 (2108.09987)"
RANGE = (0.0, 2.0)
MINIMUM_AT_TEACHER = True


def attention_transfer(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    grid: int = 8,
    power: float = 2.0,
    layer: str = LAST,
    teacher_layer: str = LAST,
) -> Scalar:
    """Return the squared distance of unit-norm attention maps, mean over channels of |feature|^power: 2 (1 - cosine), in [0, 2].

    No class enters: the map says where a network is active, not for what. It is the baseline that class maps are compared with.

    Args:
        student: trace with its layer tapped.
        teacher: gives its features, of any width.
        sample: weights of the cases.
        grid: maps are averaged to at most this many cells along each axis.
        power: exponent p.
        layer: the student's layer.
        teacher_layer: the teacher's.
    """
    student_features, teacher_features = layer_pair(student, teacher, "attention_transfer", (layer, teacher_layer))
    # Of two grids the coarser decides: the finer map is averaged down, none is made up by interpolation.
    cells = (
        min(grid, *student_features.shape[2:], *teacher_features.shape[2:])
        if student_features.shape[2:] != teacher_features.shape[2:]
        else grid
    )
    gap = unit_norm(pooled(_attention(student_features, power), cells)) - unit_norm(pooled(_attention(teacher_features, power), cells))
    return over_batch(gap.square().sum(1), sample)


def _attention(features: Tensor, power: float) -> Tensor:
    return features.abs().pow(power).mean(1)
