"""Surfaces of masks and the distances between them, in mm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor


def surface_distances(
    prediction: Tensor, reference: Tensor, spacing_mm: tuple[float, ...] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the distances of the prediction's surface voxels to the reference's surface, and the other way round.

    A surface voxel is one inside with a face neighbour outside (what lies beyond the edge of the array is outside). Distances run
    between voxel centres. None where one of the masks is empty.

    Args:
        prediction: one mask [*space].
        reference: of the same shape.
        spacing_mm: voxel spacing in the order of ``space``; None means 1.
    """
    first, second = (mask.cpu().numpy() > 0 for mask in (prediction, reference))
    if not first.any() or not second.any():
        return None
    box = _box(first | second)
    first, second = first[box], second[box]
    spacing = spacing_mm or (1.0,) * first.ndim
    # What lies beyond the array counts as outside: a structure that is cut by the edge has a surface there.
    edges = [mask & ~ndimage.binary_erosion(mask, border_value=0) for mask in (first, second)]
    # The transform gives the distance to the nearest zero, so that surfaces are the zeros of it.
    to_second, to_first = (ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in (edges[1], edges[0]))
    return to_second[edges[0]], to_first[edges[1]]


def diagonal_mm(shape: tuple[int, ...], spacing_mm: tuple[float, ...] | None) -> float:
    """Return the length of an array's diagonal: the largest distance that any two of its voxels can have, and a little more."""
    spacing = spacing_mm or (1.0,) * len(shape)
    return float(np.sqrt(sum((extent * step) ** 2 for extent, step in zip(shape, spacing, strict=True))))


def per_case(prediction: Tensor, reference: Tensor, measure: Callable[[Tensor, Tensor], float]) -> Tensor:
    """Return a float64 value per case of masks [n, *space]."""
    return torch.tensor([measure(p, r) for p, r in zip(prediction, reference, strict=True)], dtype=torch.double)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the bounding box of a mask with a margin of one voxel where there is one: distances outside it are not asked for."""
    places = np.nonzero(mask)
    return tuple(slice(max(int(p.min()) - 1, 0), int(p.max()) + 2) for p in places)
