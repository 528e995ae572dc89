"""Share of the absolute attribution that lies inside the lesion."""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "localisation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "relevance mass accuracy, Arras et al. 2022 (2003.07258)"
EMPTY = "NaN for an empty mask or a map of zeros"


def relevance_mass_accuracy(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return sum of |a| inside the mask over the sum of |a|, per case, [n].

    A map spread evenly scores the lesion's share of the image: read it beside that floor.

    Args:
        prediction: map [n, *space].
        reference: mask [n, *space].
        spacing_mm: not used.
    """
    del spacing_mm
    mass, inside = prediction.abs().double().flatten(1), (reference > 0).flatten(1)
    total = mass.sum(1)
    defined = inside.any(1) & (total > 0)
    return torch.where(defined, (mass * inside).sum(1) / total.clamp_min(1e-300), torch.full_like(total, float("nan")))
