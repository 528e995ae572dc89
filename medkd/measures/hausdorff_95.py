"""95th percentile of the Hausdorff distance."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from medkd.measures._surface import diagonal_mm, per_case, surface_distances

KIND, LEVEL = "segmentation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, float("inf")), "mm"
SOURCE = "Huttenlocher et al. 1993; larger of the two directed 95th percentiles (Maier-Hein et al. 2024, Metrics Reloaded)"
EMPTY = "both empty: NaN; one empty: the diagonal of the array (a missed structure never scores as perfect)"


def hausdorff_95(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the larger of the two directed 95th percentiles of surface distances per case, [n], mm.

    Args:
        prediction: mask [n, *space], non-zero inside.
        reference: mask of the same shape.
        spacing_mm: voxel spacing in the order of ``space``; None counts in voxels.
    """

    def measure(one: Tensor, other: Tensor) -> float:
        distances = surface_distances(one, other, spacing_mm)
        if distances is None:
            return diagonal_mm(tuple(one.shape), spacing_mm) if bool(one.any()) or bool(other.any()) else float("nan")
        return float(max(np.percentile(directed, 95) for directed in distances))

    return per_case(prediction, reference, measure)
