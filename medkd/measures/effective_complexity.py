"""How many voxels does a map use at all?"""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "complexity", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "effective complexity, Nguyen & Martinez 2020 (2007.07584), as a share of the voxels, threshold relative to the largest value"
EMPTY = "NaN for a map of zeros"


def effective_complexity(
    prediction: Tensor, reference: Tensor | None = None, *, spacing_mm: tuple[float, ...] | None = None, threshold: float = 0.1
) -> Tensor:
    """Return the share of voxels whose magnitude exceeds ``threshold`` times the largest, per case, [n].

    Args:
        prediction: map [n, *space].
        reference: not used.
        spacing_mm: not used.
        threshold: relative to the case's largest magnitude.
    """
    del reference, spacing_mm
    mass = prediction.detach().abs().flatten(1)
    most = mass.amax(1, keepdim=True)
    found = (mass > threshold * most).double().mean(1)
    return torch.where(most[:, 0] > 0, found, torch.full_like(found, float("nan")))
