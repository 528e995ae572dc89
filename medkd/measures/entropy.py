"""Over how many voxels is a map spread? Entropy of its shares."""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "complexity", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, float("inf")), "nat"
SOURCE = "complexity, Bhatt et al. 2020 (2005.00631)"
EMPTY = "NaN for a map of zeros"


def entropy(prediction: Tensor, reference: Tensor | None = None, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return -sum p log p with p = |map| / sum |map|, per case, [n]; log of the number of voxels for an even map.

    Args:
        prediction: map [n, *space].
        reference: not used.
        spacing_mm: not used.
    """
    del reference, spacing_mm
    mass = prediction.detach().abs().flatten(1)
    total = mass.sum(1, dtype=torch.double)
    # -sum (m/M) log(m/M) = log M - sum(m log m) / M: one pass over the voxels.
    found = total.log() - torch.xlogy(mass, mass).sum(1, dtype=torch.double) / total
    return torch.where(total > 0, found.clamp_min(0), torch.full_like(found, float("nan")))
