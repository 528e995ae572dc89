"""Cosine of two maps of the same target."""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "agreement", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (-1.0, 1.0), ""
SOURCE = "e2KD, Parchami-Araghi et al. 2024 (2402.03119)"
EMPTY = "NaN when one map is zero everywhere"


def cosine_agreement(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the cosine of the student's and the teacher's map, per case, [n].

    Args:
        prediction: the student's map [n, *space].
        reference: the teacher's map of the same target.
        spacing_mm: not used.
    """
    del spacing_mm
    first, second = prediction.double().flatten(1), reference.double().flatten(1)
    scale = first.norm(dim=1) * second.norm(dim=1)
    nan = torch.full_like(scale, float("nan"))
    return torch.where(scale > 0, (first * second).sum(1) / scale.clamp_min(1e-300), nan).clamp(-1, 1)
