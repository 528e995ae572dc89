"""A whole volume as a teacher sees it window by window: logits, features and whatever else it puts out, blended on their own grids."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import KnowledgeError

#: Windows begin at multiples of this many voxels, so that the grids of strided layers fall together.
ALIGN = 16


@dataclass(frozen=True)
class Box:
    """A volume in the middle of the box that windows fill.

    Attributes:
        shape: of the volume.
        window: size of a window.
        begin: voxels of padding before the volume, along each axis.
        extent: of the box.
    """

    shape: tuple[int, ...]
    window: tuple[int, ...]
    begin: tuple[int, ...]
    extent: tuple[int, ...]


def box_of(shape: tuple[int, ...], window: tuple[int, ...]) -> Box:
    """Return the box of a volume: one window where the volume fits into it, otherwise windows at multiples of ``ALIGN``."""
    begin, extent = [], []
    for size, wanted in zip(shape, window, strict=True):
        more = max(0, size - wanted)
        begin.append(max(0, wanted - size) // 2)
        extent.append(wanted + math.ceil(more / ALIGN) * ALIGN)
    return Box(shape, window, tuple(begin), tuple(extent))


def corners_of(box: Box, overlap: float) -> list[tuple[int, ...]]:
    """Return where windows begin in a box; neighbours overlap by at least the share ``overlap``."""
    places = []
    for extent, wanted in zip(box.extent, box.window, strict=True):
        step = max(ALIGN, int(wanted * (1 - overlap)) // ALIGN * ALIGN)
        starts = list(range(0, extent - wanted, step))
        places.append([*starts, extent - wanted])
    return list(itertools.product(*places))


def over_windows(
    ask: Callable[[Tensor], Mapping[str, Tensor]], volume: Tensor, window: tuple[int, ...], overlap: float
) -> dict[str, Tensor]:
    """Return what ``ask`` puts out for a volume [channel, *space], each [channels, *grid of the box].

    Args:
        ask: from an image [1, channel, *window] to named maps [1, channels, *grid]; a grid must divide the window where there are several
            windows.
        volume: padded with its lowest value to its box.
        window: size of a window.
        overlap: share by which neighbours overlap; they are blended with Gaussian weights (an eighth of the window).

    Raises:
        KnowledgeError: ``WINDOW_GRID`` when a layer's grid does not fall together between windows.
    """
    box = box_of(tuple(volume.shape[1:]), window)
    padding = [
        amount
        for begin, size, extent in reversed(list(zip(box.begin, box.shape, box.extent, strict=True)))
        for amount in (begin, extent - begin - size)
    ]
    padded = functional.pad(volume, padding, value=float(volume.min()))
    corners = corners_of(box, overlap)
    sums: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for corner in corners:
        place = tuple(slice(c, c + w) for c, w in zip(corner, window, strict=True))
        for name, found in ask(padded[(slice(None), *place)][None]).items():
            grid = tuple(found.shape[2:])
            if len(corners) == 1:
                sums[name] = found[0].float()
                continue
            strides = [_stride(name, w, g) for w, g in zip(window, grid, strict=True)]
            if name not in sums:
                whole = [extent // stride for extent, stride in zip(box.extent, strides, strict=True)]
                sums[name], weights[name] = found.new_zeros(found.shape[1], *whole, dtype=torch.float32), torch.zeros(whole)
            bump = _bump(grid)
            there = tuple(slice(c // s, c // s + g) for c, s, g in zip(corner, strides, grid, strict=True))
            sums[name][(slice(None), *there)] += found[0].float() * bump
            weights[name][there] += bump
    return {name: total / weights[name] if name in weights else total for name, total in sums.items()}


def _stride(name: str, window: int, grid: int) -> int:
    if window % grid or ALIGN % (window // grid):
        raise KnowledgeError(
            "WINDOW_GRID",
            f"expected a grid of {name!r} whose cells are 1, 2, 4, 8 or 16 voxels for volumes larger than a window, got {grid} cells on {window}",
        )
    return window // grid


def _bump(grid: tuple[int, ...]) -> Tensor:
    bump = torch.ones(())
    for extent in grid:
        place = (torch.arange(extent) - (extent - 1) / 2) / max(extent / 8, 1e-3)
        bump = bump[..., None] * torch.exp(-0.5 * place.square()).clamp_min(1e-3)
    return bump


def inside(values: Tensor, box: Box) -> Tensor:
    """Return a box's values [channels, *extent] cut to its volume."""
    place = tuple(slice(b, b + s) for b, s in zip(box.begin, box.shape, strict=True))
    return values[(slice(None), *place)]


def patch_of(values: Tensor, box: Box, corner: tuple[int, ...], cells: tuple[int, ...]) -> Tensor:
    """Return values [channels, *grid of the box] read linearly on ``cells`` cells of the patch that begins at ``corner`` of the volume."""
    space = len(cells)
    scale = [w / e for w, e in zip(box.window, box.extent, strict=True)]
    middle = [(c + b + w / 2) / e * 2 - 1 for c, b, w, e in zip(corner, box.begin, box.window, box.extent, strict=True)]
    theta = torch.zeros(1, space, space + 1)
    for axis in range(space):
        # Torch counts axes of a grid from the last to the first.
        theta[0, axis, axis], theta[0, axis, space] = scale[space - 1 - axis], middle[space - 1 - axis]
    flow = functional.affine_grid(theta, [1, 1, *cells], align_corners=False)
    return functional.grid_sample(values[None], flow, mode="bilinear", padding_mode="border", align_corners=False)[0]


def half_patch(values: Tensor, corner: tuple[int, ...], cells: tuple[int, ...]) -> Tensor:
    """Return values [channels, *half grid] on the cells of the patch that begins at voxel ``corner``; the border's value holds beyond it.

    A cell of the grid is a block of two voxels. Where the patch begins at an odd voxel its cells lie between two of the grid's: their mean,
    which is what linear interpolation gives, without the price of it.
    """
    for axis, (begin, extent) in enumerate(zip(corner, cells, strict=True), start=1):
        first, is_between = begin // 2, begin % 2
        wanted = extent + is_between
        last = values.shape[axis] - 1
        inner = values.narrow(axis, max(first, 0), max(0, min(first + wanted, last + 1) - max(first, 0)))
        parts = [inner]
        if first < 0:
            parts.insert(0, values.narrow(axis, 0, 1).expand(*_times(values, axis, min(-first, wanted))))
        beyond = first + wanted - (last + 1)
        if beyond > 0:
            parts.append(values.narrow(axis, last, 1).expand(*_times(values, axis, min(beyond, wanted))))
        values = torch.cat(parts, dim=axis) if len(parts) > 1 else inner
        if is_between:
            values = (values.narrow(axis, 0, extent) + values.narrow(axis, 1, extent)) / 2
    return values


def _times(values: Tensor, axis: int, count: int) -> tuple[int, ...]:
    return tuple(count if place == axis else extent for place, extent in enumerate(values.shape))
