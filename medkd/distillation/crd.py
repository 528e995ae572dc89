"""Which of the batch's places is this? The student's features must tell the teacher's features of the same place from all others."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medkd.attribution._grid import averaged
from medkd.distillation._reduce import common_grid, matched_pair, over_batch
from medkd.distillation._together import all_cases, first_row
from medkd.knowledge.interface import LAST, Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher", "features", "projector"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "contrastive representation distillation, Tian et al. 2020 (1910.10699), in-batch InfoNCE (van den Oord et al. 2018)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = False
BATCH_COUPLED = True
_FAR = -1e4


def crd(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    grid: int = 2,
    temperature: Number = 0.1,
    layer: str = LAST,
    teacher_layer: str = LAST,
    projector: nn.Module | None = None,
) -> Scalar:
    """Return the cross-entropy of finding, among the teacher's features of all places of the batch, the one of the same place.

    -log softmax_j(cos(s_i, t_j) / T) at j = i, mean over the places i of a case, mean over cases. Places are the cells of a grid.

    Args:
        student: trace with its layer tapped.
        teacher: gives its features.
        sample: weights; a case of weight 0 is neither asked about nor a wrong answer.
        grid: cells along each axis.
        temperature: T of the softmax over places.
        layer: the student's layer.
        teacher_layer: the teacher's.
        projector: as in ``hint``.

    Raises:
        KnowledgeError: ``HINT_CHANNELS`` when the numbers of channels differ and there is no projector.
    """
    student_features, teacher_features = matched_pair(student, teacher, "crd", (layer, teacher_layer), projector)
    cells = common_grid(student_features, teacher_features, grid)
    anchors, candidates = _places(student_features, cells), _places(teacher_features, cells)
    per_case = anchors.shape[1]
    weights = torch.ones(len(anchors), device=anchors.device) if sample.weights is None else sample.weights.to(anchors)
    answers, counted = all_cases(candidates), all_cases(weights) > 0
    with torch.autocast(anchors.device.type, enabled=False):
        # Autocast would make the product bf16, whose rounding the temperature multiplies by ten.
        scores = anchors.flatten(0, 1) @ answers.flatten(0, 1).T / temperature
    scores = scores.masked_fill(~counted.repeat_interleave(per_case)[None], _FAR)
    # This process asks about its own rows; the right answers lie behind those of the processes before it.
    matches = torch.arange(len(scores), device=scores.device) + first_row(len(scores))
    loss = functional.cross_entropy(scores, matches, reduction="none")
    return over_batch(loss.reshape(-1, per_case).mean(1), sample)


def _places(features: Tensor, cells: list[int]) -> Tensor:
    """Return unit features of places, [batch, places, features]."""
    return functional.normalize(averaged(features, cells).flatten(2).transpose(1, 2), dim=2)
