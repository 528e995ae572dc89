"""Intensities as a network of a task sees them; numpy alone, so that a served model needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Task

#: Percentiles between which a volume is standardised: one bright vessel must not set the scale.
CLIP_PERCENTILES = (0.5, 99.5)


def array_intensity(values: NDArray[Any], task: Task) -> NDArray[np.float32]:
    """Return float32 intensities as a network of the task sees them: windowed to [-1, 1], or standardised within the volume."""
    if task.intensity == "window":
        low, high = task.window
        shares: NDArray[np.float32] = np.clip((values.astype(np.float32) - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
        return shares * np.float32(2) - np.float32(1)
    return standardised(values)


def standardised(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return a volume clipped between its percentiles, brought to mean 0 and deviation 1; an even one gives zeros."""
    low, high = np.percentile(values, CLIP_PERCENTILES)
    clipped = np.clip(values.astype(np.float32), np.float32(low), np.float32(high))
    # Sums of millions of float32 voxels are kept in float64; the deviation is that of a sample, as torch computes it.
    mean, deviation = clipped.mean(dtype=np.float64), clipped.std(dtype=np.float64, ddof=1) if clipped.size > 1 else 0.0
    return ((clipped - np.float32(mean)) / np.float32(max(deviation, 1e-6))).astype(np.float32)
