"""Normalised surface distance: the share of both surfaces that lies within a tolerance of the other."""

from __future__ import annotations

from torch import Tensor

from medkd.measures._surface import per_case, surface_distances

KIND, LEVEL = "segmentation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "Nikolov et al. 2018 (1809.04430), surface voxels counted alike"
EMPTY = "both empty: NaN; one empty: 0"


def surface_dice(
    prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None, tolerance_mm: float = 1.0
) -> Tensor:
    """Return the share of surface voxels of both masks within ``tolerance_mm`` of the other's surface, per case, [n].

    Args:
        prediction: mask [n, *space], non-zero inside.
        reference: mask of the same shape.
        spacing_mm: voxel spacing in the order of ``space``; None counts in voxels.
        tolerance_mm: distance that still counts as the same place.
    """

    def measure(one: Tensor, other: Tensor) -> float:
        distances = surface_distances(one, other, spacing_mm)
        if distances is None:
            return 0.0 if bool(one.any()) or bool(other.any()) else float("nan")
        within = sum(int((directed <= tolerance_mm).sum()) for directed in distances)
        return within / sum(len(directed) for directed in distances)

    return per_case(prediction, reference, measure)
