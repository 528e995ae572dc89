"""Pictures of a report drawn smaller where they are large: a radiograph of ten million pixels does not fit into a page."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import VolumeRef
from medkd.review.shown import StudyArrays

#: Pixels of all frames together that a page embeds; more are drawn smaller.
MOST_SHOWN = 2**20


def reduced(arrays: StudyArrays, volume: VolumeRef) -> StudyArrays:
    """Return the arrays of a picture, each pixel the mean of those it stands for, masks where more than half is marked; volumes as they are.

    Args:
        arrays: [slice, row, column] each.
        volume: the study's.
    """
    step = 1 if volume.picture is None else math.ceil(math.sqrt(math.prod(volume.geometry.shape) / MOST_SHOWN))
    if step == 1:
        return arrays
    explained = tuple({name: _smaller(values, step) for name, values in one.items()} for one in arrays.explained)
    label = None if arrays.label is None else _smaller(arrays.label, step)
    return replace(arrays, volume=_smaller(arrays.volume, step), explained=explained, label=label)


def _smaller(values: NDArray[Any], step: int) -> NDArray[Any]:
    if np.issubdtype(values.dtype, np.floating):
        return _means(values, step)
    # Of a label map each class by itself: the mean of classes 1 and 3 is not class 2.
    shares = [(value, _means(values == value, step)) for value in np.unique(values) if value]
    result = np.zeros((len(values), *(math.ceil(size / step) for size in values.shape[1:])), dtype=values.dtype)
    for value, share in shares:
        result[share > 0.5] = value
    return result


def _means(values: NDArray[Any], step: int) -> NDArray[np.float32]:
    """Return the means of squares of ``step`` pixels; at the far edges of those that there are."""
    total, counts = values.astype(np.float32), []
    for axis in (1, 2):
        starts = np.arange(0, values.shape[axis], step)
        total = np.add.reduceat(total, starts, axis=axis)
        counts.append(np.diff(starts, append=values.shape[axis]))
    means: NDArray[np.float32] = np.divide(total, counts[0][:, None] * counts[1], dtype=np.float32)
    return means
