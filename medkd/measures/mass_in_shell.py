"""How far from the lesion does a map's mass lie? Shells in mm round it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

KIND, LEVEL = "localisation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "own: the mass inside a segmented lesion is near-trivial, what lies round it is not"
EMPTY = "NaN for an empty mask or a map of zeros"
#: The shells that a table shows, mm: near the lesion, its surroundings, the rest.
SHELLS = ((0.0, 5.0), (5.0, 20.0), (20.0, float("inf")))


def mass_in_shell(
    prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None, inner: float = 0.0, outer: float = 5.0
) -> Tensor:
    """Return the share of the absolute attribution that lies between two distances from the lesion, per case, [n].

    Our own definition, not published elsewhere. The lesion itself belongs to no shell: with ``relevance_mass_accuracy`` the shells of :data:`SHELLS` sum to one.

    Args:
        prediction: map [n, *space].
        reference: mask [n, *space].
        spacing_mm: voxel spacing in the order of ``space``; voxels are 1 mm without.
        inner: mm from the nearest voxel of the mask, not included.
        outer: mm, included.
    """
    return masses_in_shells(prediction, reference, ((inner, outer),), spacing_mm=spacing_mm)[:, 0]


def masses_in_shells(
    prediction: Tensor, reference: Tensor, shells: Sequence[tuple[float, float]], *, spacing_mm: tuple[float, ...] | None = None
) -> Tensor:
    """Return the share of the absolute attribution in each of several shells (inner, outer), [n, shells]; see :func:`mass_in_shell`."""
    mass = prediction.detach().abs().double().cpu()
    found = torch.full((len(mass), len(shells)), float("nan"), dtype=torch.double)
    for case, inside in enumerate((reference > 0).cpu().numpy()):
        total = mass[case].sum()
        if inside.any() and float(total) > 0:
            distance = distance_transform_edt(~inside, sampling=spacing_mm)
            for place, (inner, outer) in enumerate(shells):
                shell = torch.from_numpy(np.asarray((distance > inner) & (distance <= outer)))
                found[case, place] = mass[case][shell].sum() / total
    return found
