"""Do the values account for what perturbations do to the answer? The error of predicting it from them."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures._perturb import Perturbation, over_subsets

KIND, LEVEL = "faithfulness", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, float("inf")), ""
SOURCE = "Yeh et al. 2019 (1901.09392), normalised by the best scale, in units of the falls' variance"
EMPTY = "NaN where no subset changes the answer"


def infidelity(
    prediction: Tensor, reference: Perturbation, *, spacing_mm: tuple[float, ...] | None = None, subsets: int = 64, share: float = 0.2
) -> Tensor:
    """Return E[(b sum of values in the subset - fall of the score)^2] / E[fall^2] with the best b >= 0, per case, [n]: 0 best, 1 no use.

    The best scale makes maps in different units comparable (Yeh et al. use it too); without a positive one the map is of no use.

    Args:
        prediction: map [n, *space]: contributions, as of methods times the input.
        reference: network, image and baseline.
        spacing_mm: not used.
        subsets: drawn, the same for every case.
        share: of the pixels in a subset.
    """
    del spacing_mm
    sums, falls = over_subsets(prediction, reference, subsets, share)
    scale = ((sums * falls).sum(1) / sums.square().sum(1).clamp_min(1e-300)).clamp_min(0)
    energy = falls.square().sum(1)
    error = (scale[:, None] * sums - falls).square().sum(1)
    return torch.where(energy > 0, error / energy.clamp_min(1e-300), torch.full_like(energy, float("nan")))
