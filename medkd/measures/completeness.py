"""Does a map sum to what it explains?"""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "axiom", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, float("inf")), ""
SOURCE = "completeness axiom, Sundararajan et al. 2017 (1703.01365)"
EMPTY = "NaN where the score is that of the baseline"
#: A larger relative error means that the sum is not to be read as an account of the score.
FAILS_ABOVE = 0.05


def completeness(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return |sum of the map - (score of the image - score of the baseline)| over the magnitude of that difference, per case, [n].

    Args:
        prediction: map [n, *space].
        reference: differences of the scores, [n].
        spacing_mm: not used.
    """
    del spacing_mm
    gap = reference.detach().double()
    found = (prediction.detach().double().flatten(1).sum(1) - gap).abs() / gap.abs().clamp_min(1e-300)
    return torch.where(gap.abs() > 0, found, torch.full_like(found, float("nan")))
