"""Where a map is strongest: the fewest voxels that hold half of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def strongest_half(maps: Mapping[int, NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Return for every voxel the number of the map that it is among the strongest half of, 0 for none.

    The strongest half of a map is the smallest set of voxels whose magnitudes sum up to half of all magnitudes or more. A voxel in several
    goes to the map that it holds the largest share of; of equal shares to the lowest number.

    Args:
        maps: attributions of one shape, by numbers of 1 to 255. There is at least one.
    """
    shape = next(iter(maps.values())).shape
    found, most = np.zeros(shape, np.uint8), np.zeros(shape)
    for number in sorted(maps):
        magnitude = np.abs(maps[number].astype(np.float64))
        total = magnitude.sum()
        if total == 0:
            continue
        falling = np.sort(magnitude[magnitude > 0])[::-1]
        # Voxels as strong as the last one that is needed belong to it too: which of them came first says nothing.
        least = falling[np.searchsorted(np.cumsum(falling), total / 2)]
        share = magnitude / total
        own = (magnitude >= least) & (magnitude > 0) & (share > most)
        found[own], most[own] = number, share[own]
    return found
