"""Where a store replays logits on a coarser grid, the student and what is known of the batch are brought to it: once per step."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace


def on_teachers_grid(student: Trace, knowledge: Knowledge | None, sample: Sample) -> tuple[Trace, Sample]:
    """Return student and batch on the grid of the teacher's logits; as they are where that is the student's.

    The student's logits [batch, classes, *space] are averaged over each coarser cell; a cell is valid where most of it is. Labels and masks
    are those of the voxel nearest to the cell's centre, weights of voxels are averaged.
    """
    if knowledge is None or student.logits.ndim == 2:
        return student, sample
    space = tuple(knowledge.logits().shape[2:])
    if space == tuple(student.logits.shape[2:]):
        return student, sample
    logits = averaged_to(student.logits, space)
    coarse = replace(
        sample,
        labels=_nearest(sample.labels, space),
        masks=_nearest(sample.masks, space),
        valid_mask=None if sample.valid_mask is None else averaged_to(sample.valid_mask[:, None], space)[:, 0] > 0.5,
        voxel_weights=None if sample.voxel_weights is None else averaged_to(sample.voxel_weights[:, None], space)[:, 0],
    )
    return replace(student, outputs={**student.outputs, student.head: logits}), coarse


def averaged_to(values: Tensor, space: tuple[int, ...]) -> Tensor:
    """Average values [batch, channel, *space] over the cells of a coarser grid, in float32."""
    factors = [extent // cells for extent, cells in zip(values.shape[2:], space, strict=True)]
    if all(factor * cells == extent for factor, cells, extent in zip(factors, space, values.shape[2:], strict=True)):
        means: Tensor = _BlockMeans.apply(values, factors)  # type: ignore[no-untyped-call]
        return means
    pool = functional.adaptive_avg_pool2d if len(space) == 2 else functional.adaptive_avg_pool3d
    result: Tensor = pool(values.float(), list(space))  # type: ignore[arg-type]
    return result


class _BlockMeans(torch.autograd.Function):
    """Means over whole blocks: what ``avg_pool3d`` gives, at a quarter of its time on a CPU in both directions."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factors: list[int]) -> Tensor:
        ctx.factors, ctx.dtype = factors, values.dtype
        total = values.float()
        for axis, factor in enumerate(factors, start=2):
            rows = total.unflatten(axis, (-1, factor))
            total = sum((rows.select(axis + 1, step) for step in range(1, factor)), rows.select(axis + 1, 0))
        return total / math.prod(factors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the fine values: that of each block, shared."""
        spread = (gradients[0] / math.prod(ctx.factors)).to(ctx.dtype)
        # The last axis by itself, so that the copy over the others moves whole rows.
        spread = spread.repeat_interleave(ctx.factors[-1], dim=-1)
        outer = ctx.factors[:-1]
        blocks = spread
        for place, factor in enumerate(outer):
            axis = 3 + 2 * place
            blocks = blocks.unsqueeze(axis).expand(*blocks.shape[:axis], factor, *blocks.shape[axis:])
        whole = [cells * factor for cells, factor in zip(spread.shape[2:], (*outer, 1), strict=True)]
        return blocks.reshape(*spread.shape[:2], *whole), None


def _nearest(values: Tensor | None, space: tuple[int, ...]) -> Tensor | None:
    if values is None or values.ndim == 1:
        return values
    return functional.interpolate(values[:, None].float(), size=space, mode="nearest-exact")[:, 0].to(values.dtype)
