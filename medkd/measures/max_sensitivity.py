"""How much does a map change when the image hardly does? The worst of several draws, relative to the map."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures._neighbours import Neighbours

KIND, LEVEL = "robustness", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, float("inf")), ""
SOURCE = "max-sensitivity, Yeh et al. 2019 (1901.09392)"
EMPTY = "NaN for a map of zeros"


def max_sensitivity(prediction: Tensor, reference: Neighbours, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the largest ||map of a changed image - map|| / ||map||, per case, [n].

    Args:
        prediction: map [n, *space].
        reference: maps of changed images.
        spacing_mm: not used.
    """
    del spacing_mm
    moved, size = reference.moved(prediction)
    found = (moved / size.clamp_min(1e-300)).amax(1)
    return torch.where(size[:, 0] > 0, found, torch.full_like(found, float("nan")))
