"""How many of the map's highest voxels lie in the lesion, when as many are taken as it has?"""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures._order import order_of

KIND, LEVEL = "localisation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "relevance rank accuracy, Arras et al. 2022 (2003.07258)"
EMPTY = "NaN for an empty mask"


def relevance_rank_accuracy(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the share of the K highest voxels that lie in the mask, K its number of voxels, per case, [n].

    Chance is the mask's share of the image. Ties keep the order of voxels.

    Args:
        prediction: map [n, *space]; its sign counts.
        reference: mask [n, *space].
        spacing_mm: not used.
    """
    del spacing_mm
    inside = (reference > 0).flatten(1)
    hits = inside.gather(1, order_of(prediction).places)
    size = inside.sum(1)
    chosen = torch.arange(inside.shape[1], device=inside.device)[None] < size[:, None]
    found = (hits & chosen).sum(1).double() / size.clamp_min(1)
    return torch.where(size > 0, found, torch.full_like(found, float("nan")))
