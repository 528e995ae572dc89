"""Frames of a segmentation that lie on another grid than the volume: each voxel takes what the pixel nearest to it says.

A pixel is a box: its spacing wide, and as thick as its frames lie apart. A voxel whose centre lies in none is background. Nothing is interpolated,
so that structures keep their values; what is finer than the volume's voxels is lost where no centre lies in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Geometry

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FrameGrid:
    """Where the pixels of one frame lie.

    Attributes:
        origin: centre of the first pixel, LPS mm.
        axes: steps of a row, of a column and across the frame, in columns, LPS mm.
        shape: rows, columns.
    """

    origin: Floats
    axes: Floats
    shape: tuple[int, int]


def frame_grids(
    positions: Sequence[Floats], orientation: Floats, spacing: Floats, shape: tuple[int, int], thickness: float
) -> list[FrameGrid]:
    """Return the grids of parallel frames.

    Args:
        positions: Image Position (Patient) of each, LPS mm.
        orientation: Image Orientation (Patient) of all.
        spacing: Pixel Spacing of all, mm.
        shape: rows, columns.
        thickness: Spacing Between Slices or, where nobody says it, Slice Thickness; 0 where nobody says either. Frames that hold nothing are
            often left out, so that the smallest distance of two frames may be a gap: the smaller one of both counts.
    """
    along_row, along_column = orientation[:3], orientation[3:]
    normal = np.cross(along_row, along_column)
    depths = np.unique(np.round([float(position @ normal) for position in positions], 3))
    apart = float(np.diff(depths).min()) if len(depths) > 1 else 0.0
    step = min((value for value in (thickness, apart) if value > 0), default=float(spacing.min()))
    axes = np.stack([along_column * spacing[0], along_row * spacing[1], normal * step], axis=1)
    return [FrameGrid(position, axes, shape) for position in positions]


def sample_frame(frame: NDArray[Any], grid: FrameGrid, geometry: Geometry) -> tuple[tuple[slice, slice, slice], NDArray[Any], float]:
    """Return the part of a volume that a frame reaches, what its pixels say there, and how far in mm a voxel that holds something lies from its pixel.

    Args:
        frame: pixels [row, column].
        grid: of the frame.
        geometry: of the volume.

    Returns:
        region (slice, row, column) of the volume, values [slice, row, column] with 0 outside of the frame, largest distance in mm.
    """
    affine = np.asarray(geometry.affine_lps_mm)
    rows, columns = grid.shape
    corners = np.array(list(product((-0.5, rows - 0.5), (-0.5, columns - 0.5), (-0.5, 0.5))))
    reach = np.linalg.solve(affine[:3, :3], (corners @ grid.axes.T + grid.origin - affine[:3, 3]).T).T
    low = np.clip(np.floor(reach.min(0)).astype(int), 0, geometry.shape)
    high = np.clip(np.ceil(reach.max(0)).astype(int) + 1, 0, geometry.shape)
    region = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    inside = np.stack(np.meshgrid(*(np.arange(part.start, part.stop) for part in region), indexing="ij"), axis=-1).astype(float)
    places = np.linalg.solve(grid.axes, (inside @ affine[:3, :3].T + affine[:3, 3] - grid.origin).reshape(-1, 3).T).T
    # The lower border of a box is its own, the upper one its neighbour's: no voxel is of two frames.
    nearest = np.floor(places + 0.5 + 1e-6)
    held = (nearest[:, 0] >= 0) & (nearest[:, 0] < rows) & (nearest[:, 1] >= 0) & (nearest[:, 1] < columns) & (nearest[:, 2] == 0)
    values = np.zeros(len(places), dtype=frame.dtype)
    pixel = nearest[held].astype(int)
    values[held] = frame[pixel[:, 0], pixel[:, 1]]
    labelled = values > 0
    off = np.linalg.norm((places[labelled] - nearest[labelled]) @ grid.axes.T, axis=1)
    return (region[0], region[1], region[2]), values.reshape(inside.shape[:3]), float(off.max(initial=0.0))
