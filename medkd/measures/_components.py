"""Lesions as connected components: what lesion-wise measures count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return a mask's components [*space], numbered from 1 (0 outside), and how many there are.

    Voxels that share a face, an edge or a corner belong together (8 neighbours in pictures, 26 in volumes).
    """
    labelled, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim, dtype=np.uint8))
    return labelled.astype(np.int32), int(count)


def overlaps(first: NDArray[np.int32], second: NDArray[np.int32], counts: tuple[int, int]) -> NDArray[np.float64]:
    """Return the intersection over union of each component of one labelled array with each of the other, [counts]."""
    joint = np.zeros((counts[0] + 1, counts[1] + 1))
    np.add.at(joint, (first.ravel(), second.ravel()), 1)
    sizes = joint.sum(1, keepdims=True) + joint.sum(0, keepdims=True) - joint
    inner: NDArray[np.float64] = (joint / np.maximum(sizes, 1))[1:, 1:]
    return inner
