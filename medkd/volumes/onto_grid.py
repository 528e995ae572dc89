"""An image of one grid read on another of the same frame of reference: by their places in the patient, with nothing moved to fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from medkd.volumes.orientation import Grid

#: Corners that differ by less are one place: what a header rounds (PS3.3 gives positions as decimal strings).
SAME_PLACE_MM = 0.01
#: How far a voxel reaches from its centre, in voxels, with what is lost in adding places up.
_HALF_A_VOXEL = 0.5 + 1e-4


def onto_grid(values: NDArray[Any], own: Grid, wanted: Grid) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return an image on another grid, and where it reaches there.

    Linear between the centres of voxels, and unchanged where both grids are one. A place is reached when it lies in a voxel of the image; beyond,
    the value of the nearest voxel stands, which nobody measured there.

    Args:
        values: [*own], axes (slice, row, column).
        own: grid of the values.
        wanted: grid that is asked for.

    Returns:
        float32 [*wanted] and bool [*wanted].
    """
    if same_grid(own, wanted):
        return values.astype(np.float32), np.ones(wanted.shape, dtype=bool)
    step = np.linalg.inv(own.affine_lps_mm) @ wanted.affine_lps_mm
    moved: NDArray[np.float32] = affine_transform(
        values.astype(np.float32), step[:3, :3], step[:3, 3], output_shape=wanted.shape, order=1, mode="nearest"
    )
    reached = np.ones(wanted.shape, dtype=bool)
    for axis, extent in enumerate(own.shape):
        # A place along one axis of the image is a sum of one number for each axis of the other grid.
        parts = (step[axis, other] * np.arange(size) for other, size in enumerate(wanted.shape))
        slices, rows, columns = np.ix_(*parts)
        place = slices + rows + columns + step[axis, 3]
        reached &= (place >= -_HALF_A_VOXEL) & (place <= extent - 1 + _HALF_A_VOXEL)
    return moved, reached


def same_grid(first: Grid, second: Grid) -> bool:
    """Return whether two grids have the same voxels."""
    return first.shape == second.shape and corner_gap_mm(first, second) < SAME_PLACE_MM


def corner_gap_mm(first: Grid, second: Grid) -> float:
    """Return how far a corner of one grid lies from the same corner of another of its shape, at most, along an axis of the patient in mm."""
    corners = np.array([[i, j, k, 1.0] for i in (0, first.shape[0]) for j in (0, first.shape[1]) for k in (0, first.shape[2])])
    return float(np.abs(corners @ (first.affine_lps_mm - second.affine_lps_mm).T).max())
