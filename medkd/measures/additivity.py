"""Is the map of a whole the sum of the maps of its parts?"""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "axiom", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, float("inf")), ""
SOURCE = "own: an explainer that is linear in its target splits a voxel's contribution exactly over lesions"
EMPTY = "NaN for a map of zeros"
#: Rounding stays far below; what is above is not a ledger.
FAILS_ABOVE = 0.001


def additivity(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the largest magnitude of map - sum of its parts' maps, over the map's largest magnitude, per case, [n].

    Args:
        prediction: map of the union [n, *space].
        reference: sum of the maps of the parts.
        spacing_mm: not used.
    """
    del spacing_mm
    whole, parts = prediction.detach().double().flatten(1), reference.detach().double().flatten(1)
    most = whole.abs().amax(1)
    found = (whole - parts).abs().amax(1) / most.clamp_min(1e-300)
    return torch.where(most > 0, found, torch.full_like(found, float("nan")))
