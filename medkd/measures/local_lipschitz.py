"""How steeply does a map change with its image? The steepest of several draws."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures._neighbours import Neighbours

KIND, LEVEL = "robustness", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, float("inf")), "1/input unit"
SOURCE = "local Lipschitz estimate, Alvarez-Melis & Jaakkola 2018 (1806.08049), of the map divided by its norm"
EMPTY = "NaN for a map of zeros"


def local_lipschitz(prediction: Tensor, reference: Neighbours, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the largest ||map of a changed image - map|| / (||map|| ||change||), per case, [n].

    Maps are divided by the norm of the unchanged one, so that networks of other logit scales can be compared.

    Args:
        prediction: map [n, *space].
        reference: maps of changed images and how far these are.
        spacing_mm: not used.
    """
    del spacing_mm
    moved, size = reference.moved(prediction)
    found = (moved / (size * reference.distances.double()).clamp_min(1e-300)).amax(1)
    return torch.where(size[:, 0] > 0, found, torch.full_like(found, float("nan")))
