"""Pictures of a report drawn smaller where they are large: a radiograph of ten million pixels does not fit into a page."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

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


def _smaller(values: Tensor, step: int) -> Tensor:
    if values.dtype.is_floating_point:
        return functional.avg_pool2d(values[:, None].float(), step, ceil_mode=True)[:, 0]
    # Of a label map each class by itself: the mean of classes 1 and 3 is not class 2.
    classes = [value for value in values.unique().tolist() if value]
    shares = [(value, functional.avg_pool2d((values == value).float()[:, None], step, ceil_mode=True)[:, 0]) for value in classes]
    result = torch.zeros((len(values), *(math.ceil(size / step) for size in values.shape[1:])), dtype=values.dtype)
    for value, share in shares:
        result[share > 0.5] = value
    return result
