"""Does the map's largest value lie in the lesion?"""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "localisation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "Zhang et al. 2016 (1608.00507), without tolerance"
EMPTY = "NaN for an empty mask or a constant map"


def pointing_game(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return 1 where every voxel of largest value lies in the mask, otherwise 0, per case, [n]: ties are broken against the map.

    Args:
        prediction: map [n, *space]; its sign counts (the largest support, not the largest magnitude).
        reference: mask [n, *space].
        spacing_mm: not used.
    """
    del spacing_mm
    values, inside = prediction.flatten(1), (reference > 0).flatten(1)
    peak = values.amax(1, keepdim=True)
    hit = ((values < peak) | inside).all(1).double()
    defined = inside.any(1) & (peak[:, 0] > values.amin(1))
    return torch.where(defined, hit, torch.full_like(hit, float("nan")))
