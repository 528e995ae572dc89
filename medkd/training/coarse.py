"""Where a store replays logits on a coarser grid, the student and what is known of the batch are brought to it: once per step."""

from __future__ import annotations

from dataclasses import replace

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
    logits = averaged_to(student.logits.float(), space)
    coarse = replace(
        sample,
        labels=_nearest(sample.labels, space),
        masks=_nearest(sample.masks, space),
        valid_mask=None if sample.valid_mask is None else averaged_to(sample.valid_mask[:, None].float(), space)[:, 0] > 0.5,
        voxel_weights=None if sample.voxel_weights is None else averaged_to(sample.voxel_weights[:, None].float(), space)[:, 0],
    )
    return replace(student, outputs={**student.outputs, student.head: logits}), coarse


def averaged_to(values: Tensor, space: tuple[int, ...]) -> Tensor:
    """Average values [batch, channel, *space] over the cells of a coarser grid."""
    factors = [extent // cells for extent, cells in zip(values.shape[2:], space, strict=True)]
    if all(factor * cells == extent for factor, cells, extent in zip(factors, space, values.shape[2:], strict=True)):
        plain = functional.avg_pool2d if len(space) == 2 else functional.avg_pool3d
        return plain(values, factors)
    pool = functional.adaptive_avg_pool2d if len(space) == 2 else functional.adaptive_avg_pool3d
    result: Tensor = pool(values, list(space))  # type: ignore[arg-type]
    return result


def _nearest(values: Tensor | None, space: tuple[int, ...]) -> Tensor | None:
    if values is None or values.ndim == 1:
        return values
    return functional.interpolate(values[:, None].float(), size=space, mode="nearest-exact")[:, 0].to(values.dtype)
