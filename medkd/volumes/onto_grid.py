"""An image of one grid read on another of the same frame of reference: by their places in the patient, with nothing moved to fit."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from medkd.volumes.orientation import Grid

#: Corners that differ by less are one place: what a header rounds (PS3.3 gives positions as decimal strings).
SAME_PLACE_MM = 0.01
#: What is lost in adding places up, in voxels; and how far a voxel reaches from its centre.
_ROUNDED = 1e-4
_HALF_A_VOXEL = 0.5 + _ROUNDED


def onto_grid(values: NDArray[Any], own: Grid, wanted: Grid) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return an image on another grid, and where it reaches there.

    Linear between the centres of voxels, and unchanged where both grids are one. A voxel that holds several of a finer image is the mean over its
    extent, as a scanner's voxel is; one whose extent the image does not cover is read at its centre. A place is reached when it lies in a voxel of
    the image; beyond, the value of the nearest voxel stands, which nobody measured there.

    Args:
        values: [*own], axes (slice, row, column).
        own: grid of the values.
        wanted: grid that is asked for.

    Returns:
        float32 [*wanted] and bool [*wanted].
    """
    if same_grid(own, wanted):
        return values.astype(np.float32), np.ones(wanted.shape, dtype=bool)
    step, image = np.linalg.inv(own.affine_lps_mm) @ wanted.affine_lps_mm, values.astype(np.float32)
    moved, reached = _read(image, step, wanted.shape), _within(own.shape, step, wanted.shape, _HALF_A_VOXEL)
    offsets = _offsets(step)
    if len(offsets) > 1:
        mean, covered = np.zeros(wanted.shape, dtype=np.float64), np.ones(wanted.shape, dtype=bool)
        for offset in offsets:
            there = step.copy()
            there[:3, 3] += step[:3, :3] @ offset
            mean += _read(image, there, wanted.shape) / len(offsets)
            covered &= _within(own.shape, there, wanted.shape, _ROUNDED)
        moved = np.where(covered, mean, moved).astype(np.float32)
    return moved, reached


def _offsets(step: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return places within a wanted voxel, in voxels from its centre: along each of its edges as many as it spans voxels of the image, evenly."""
    counts = [max(1, math.ceil(np.abs(step[:3, axis]).max() - _ROUNDED)) for axis in range(3)]
    along = [(np.arange(count) + 0.5) / count - 0.5 for count in counts]
    return [np.array(place) for place in itertools.product(*along)]


def _read(image: NDArray[np.float32], step: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    moved: NDArray[np.float32] = affine_transform(image, step[:3, :3], step[:3, 3], output_shape=shape, order=1, mode="nearest")
    return moved


def _within(extents: tuple[int, ...], step: NDArray[np.float64], shape: tuple[int, ...], beyond: float) -> NDArray[np.bool_]:
    """Return which places lie between the outermost centres of an image, or so many voxels beyond."""
    reached = np.ones(shape, dtype=bool)
    for axis, extent in enumerate(extents):
        # A place along one axis of the image is a sum of one number for each axis of the other grid.
        parts = (step[axis, other] * np.arange(size) for other, size in enumerate(shape))
        slices, rows, columns = np.ix_(*parts)
        place = slices + rows + columns + step[axis, 3]
        reached &= (place >= -beyond) & (place <= extent - 1 + beyond)
    return reached


def same_grid(first: Grid, second: Grid) -> bool:
    """Return whether two grids have the same voxels."""
    return first.shape == second.shape and corner_gap_mm(first, second) < SAME_PLACE_MM


def corner_gap_mm(first: Grid, second: Grid) -> float:
    """Return how far a corner of one grid lies from the same corner of another of its shape, at most, along an axis of the patient in mm."""
    corners = np.array([[i, j, k, 1.0] for i in (0, first.shape[0]) for j in (0, first.shape[1]) for k in (0, first.shape[2])])
    return float(np.abs(corners @ (first.affine_lps_mm - second.affine_lps_mm).T).max())
