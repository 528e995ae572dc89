"""Dice similarity coefficient."""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "segmentation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "Dice 1945"
EMPTY = "both empty: NaN (nothing to find, nothing found); one empty: 0"


def dice(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return 2 |P and R| / (|P| + |R|) per case, [n].

    Args:
        prediction: mask [n, *space], non-zero inside.
        reference: mask of the same shape.
        spacing_mm: not used: voxels of one case have one volume.
    """
    del spacing_mm
    predicted, wanted = (prediction > 0).flatten(1), (reference > 0).flatten(1)
    total = predicted.sum(1) + wanted.sum(1)
    overlap = 2.0 * (predicted & wanted).sum(1)
    return torch.where(total > 0, overlap / total.clamp_min(1), torch.full_like(overlap, float("nan")))
