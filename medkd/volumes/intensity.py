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
    return within_volume(values, task)


def within_volume(values: NDArray[Any], task: Task) -> NDArray[np.float32]:
    """Return a volume scaled by what it holds itself, as the task asks: clipped between percentiles first, or as nnU-Net v2 does."""
    return z_scored(values) if task.intensity == "z_score" else standardised(values)


def z_scored(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return a volume [slice, row, column] brought to mean 0 and deviation 1 of the box round what is not zero; an even one gives zeros."""
    places = [
        np.flatnonzero((values != 0).any(axis=tuple(other for other in range(values.ndim) if other != axis))) for axis in range(values.ndim)
    ]
    box = values[tuple(slice(found[0], found[-1] + 1) for found in places)] if all(map(len, places)) else values
    mean, deviation = box.mean(dtype=np.float64), box.std(dtype=np.float64)
    return ((values.astype(np.float32) - np.float32(mean)) / np.float32(max(deviation, 1e-8))).astype(np.float32)


def standardised(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return a volume clipped between its percentiles, brought to mean 0 and deviation 1; an even one gives zeros."""
    low, high = np.percentile(values, CLIP_PERCENTILES)
    clipped = np.clip(values.astype(np.float32), np.float32(low), np.float32(high))
    # Sums of millions of float32 voxels are kept in float64; the deviation is that of a sample, as torch computes it.
    mean, deviation = clipped.mean(dtype=np.float64), clipped.std(dtype=np.float64, ddof=1) if clipped.size > 1 else 0.0
    return ((clipped - np.float32(mean)) / np.float32(max(deviation, 1e-6))).astype(np.float32)
