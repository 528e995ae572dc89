"""Overlapping windows over a volume, their answers averaged: MONAI's ``sliding_window_inference`` with Gaussian weights, in numpy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Deviation of the Gaussian weights as a share of the window, and the smallest weight: MONAI's.
SIGMA_SHARE, LEAST_WEIGHT = 0.125, 1e-3
#: Windows per pass: what one forward pass holds in memory.
AT_ONCE = 2


def predict_windows(
    answer: Callable[[NDArray[np.float32]], NDArray[np.float32]], volume: NDArray[np.float32], size: Sequence[int], overlap: float
) -> NDArray[np.float32]:
    """Return answers [channel, *space] of a volume [channel, *space], each voxel the Gaussian-weighted mean of the windows that saw it.

    Args:
        answer: network, [n, channel, *size] → [n, channel, *size].
        volume: one volume; smaller than the window it is padded with its lowest value, half on either side.
        size: of the window.
        overlap: share by which neighbouring windows overlap.
    """
    padding = [(max(s - e, 0) // 2, max(s - e, 0) - max(s - e, 0) // 2) for s, e in zip(size, volume.shape[1:], strict=True)]
    padded = np.pad(volume, [(0, 0), *padding], constant_values=float(volume.min())) if any(map(any, padding)) else volume
    inner: tuple[Any, ...] = (slice(None), *(slice(b, b + e) for (b, _), e in zip(padding, volume.shape[1:], strict=True)))
    corners = list(itertools.product(*(_begins(e, s, overlap) for e, s in zip(padded.shape[1:], size, strict=True))))
    if len(corners) == 1:  # whatever its weights are, they cancel
        return np.ascontiguousarray(answer(padded[None])[0][inner], dtype=np.float32)
    weight = gaussian_weights(size)
    total = np.zeros((0, *padded.shape[1:]), dtype=np.float32)
    weights = np.zeros(padded.shape[1:], dtype=np.float32)
    for begin in range(0, len(corners), AT_ONCE):
        some = [_box(corner, size) for corner in corners[begin : begin + AT_ONCE]]
        answers = answer(np.stack([padded[(slice(None), *box)] for box in some]))
        for box, own in zip(some, answers, strict=True):
            if not len(total):  # how many channels an answer has is known from the first
                total = np.zeros((own.shape[0], *padded.shape[1:]), dtype=np.float32)
            total[(slice(None), *box)] += own * weight
            weights[box] += weight
    total /= weights  # in place: the answers of a large volume are the largest arrays there are
    return np.ascontiguousarray(total[inner])


def gaussian_weights(size: Sequence[int]) -> NDArray[np.float32]:
    """Return the weight of every voxel of a window, 1 in the middle, at least ``LEAST_WEIGHT`` in the corners."""
    weight = np.ones((), dtype=np.float32)
    for extent in size:
        places = np.arange(extent, dtype=np.float32) - np.float32((extent - 1) / 2)
        line = np.exp(places**2 / np.float32(-2 * (SIGMA_SHARE * extent) ** 2)).astype(np.float32)
        weight = weight[..., None] * line
    return np.maximum(weight, max(float(weight.min()), LEAST_WEIGHT)).astype(np.float32)


def _begins(extent: int, size: int, overlap: float) -> list[int]:
    """Return where windows begin along an axis: at even steps, the last one moved back so that it ends with the volume."""
    if extent <= size:
        return [0]
    step = max(int(size * (1 - overlap)), 1)
    count = math.ceil((extent - size) / step) + 1
    return [min(place * step, extent - size) for place in range(count)]


def _box(corner: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(begin, begin + extent) for begin, extent in zip(corner, size, strict=True))
