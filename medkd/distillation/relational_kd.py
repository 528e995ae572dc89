"""How the parts of a picture relate to one another, whatever the width of the features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medkd.attribution._grid import averaged
from medkd.distillation._reduce import common_grid, layer_pair, over_batch
from medkd.knowledge.interface import LAST, Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "features"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "Tung and Mori 2019 (1907.09682) over the cells of one case, as in Park et al. 2019 (RKD, 1904.05068)"
RANGE = (0.0, 4.0)
MINIMUM_AT_TEACHER = True


def relational_kd(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, grid: int = 4, layer: str = LAST, teacher_layer: str = LAST
) -> Scalar:
    """Return the mean squared difference of the cosine similarities between all pairs of cells of a case, in [0, 4].

    Args:
        student: trace with its layer tapped.
        teacher: gives its features, of any width.
        sample: weights of the cases.
        grid: features are averaged to at most this many cells along each axis; with one cell there are no relations, and the value is 0.
        layer: the student's layer.
        teacher_layer: the teacher's.
    """
    student_features, teacher_features = layer_pair(student, teacher, "relational_kd", (layer, teacher_layer))
    cells = common_grid(student_features, teacher_features, grid)
    return over_batch((_similarities(student_features, cells) - _similarities(teacher_features, cells)).square().flatten(1).mean(1), sample)


def _similarities(features: Tensor, cells: list[int]) -> Tensor:
    """Return [batch, cells, cells] cosines between the mean features of cells."""
    tokens = functional.normalize(averaged(features, cells).flatten(2), dim=1)
    # Autocast would make the product bf16, whose rounding is larger than what is compared.
    with torch.autocast(tokens.device.type, enabled=False):
        return tokens.transpose(1, 2) @ tokens
