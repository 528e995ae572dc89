"""Masks as runs of voxels, as readers' corrections are kept, and as arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_contracts import VoxelMask


def voxels_of(mask: VoxelMask) -> NDArray[np.bool_]:
    """Return the voxels of a mask, bool [slice, row, column]."""
    flat = np.zeros(int(np.prod(mask.shape)), dtype=bool)
    for start, length in mask.runs:
        flat[start : start + length] = True
    return flat.reshape(mask.shape)


def mask_of(voxels: NDArray[np.bool_]) -> VoxelMask:
    """Return voxels [slice, row, column], at least one of them true, as a mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], voxels.ravel(), [False]])))
    slices, rows, columns = voxels.shape
    runs = tuple((int(start), int(end - start)) for start, end in zip(edges[::2], edges[1::2], strict=True))
    return VoxelMask(shape=(slices, rows, columns), runs=runs)
