"""Spatial and intensity views of a batch, drawn once and applied to image, mask, labels and validity alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from medkd.trace import Sample

Kind = Literal["none", "flip", "affine"]


def draw_view(sample: Sample, kind: Kind, generator: torch.Generator) -> Sample:
    """Draw and apply one view per case.

    ``flip`` mirrors columns of each case with probability one half. ``affine`` adds rotation (± 15°, of volumes about the slice
    axis), zoom (± 15 %), shift (± 8 %) and an intensity gain and offset (± 15 % of the window). Images and everything on their
    grid move together.

    Args:
        sample: batch, image [batch, channel, *space].
        kind: which views are drawn.
        generator: the only source of randomness (CPU).
    """
    if kind == "none":
        return sample
    flips = torch.rand(len(sample.image), generator=generator) < 0.5
    sample = _apply(sample, lambda grid: torch.where(flips.view(-1, *(1,) * (grid.ndim - 1)).to(grid.device), grid.flip(-1), grid))
    if kind == "flip":
        return replace(sample, view="flip")
    space = sample.image.ndim - 2
    per_case = (len(sample.image), *(1,) * (space + 1))
    theta = _draw_affine(len(sample.image), space, generator).to(sample.image.device)
    gain = 1 + 0.15 * (2 * torch.rand(per_case, generator=generator) - 1).to(sample.image.device)
    offset = 0.15 * (2 * torch.rand(per_case, generator=generator) - 1).to(sample.image.device)
    low, high = float(sample.image.min()), float(sample.image.max())
    moved = _apply(sample, lambda grid: _move(grid, theta, space, low))
    image = (moved.image * gain + offset).clamp(low, high)
    return replace(moved, inputs={**moved.inputs, "image": image}, view="affine")


def _apply(sample: Sample, move: Callable[[Tensor], Tensor]) -> Sample:
    """Apply a spatial map to every array of a sample that lives on the image's grid."""
    spatial = sample.image.ndim - 1

    def moved(value: Tensor | None) -> Tensor | None:
        """Move what lies on the grid; one number per case stays."""
        return move(value) if value is not None and value.ndim == spatial else value

    return replace(
        sample,
        inputs={key: move(value) for key, value in sample.inputs.items()},
        labels=moved(sample.labels),
        masks=moved(sample.masks),
        valid_mask=moved(sample.valid_mask),
        voxel_weights=moved(sample.voxel_weights),
    )


def _draw_affine(n: int, space: int, generator: torch.Generator) -> Tensor:
    """Return n affines [n, space, space + 1] in the order (column, row, slice) that torch's grids use."""
    draws = 2 * torch.rand(n, 5, generator=generator) - 1
    angle, zoom = draws[:, 0] * math.pi / 12, 1 + 0.15 * draws[:, 1]
    cos, sin, none = angle.cos() * zoom, angle.sin() * zoom, torch.zeros(n)
    if space == 2:
        rows = [torch.stack([cos, -sin, 0.16 * draws[:, 2]], 1), torch.stack([sin, cos, 0.16 * draws[:, 3]], 1)]
    else:
        rows = [
            torch.stack([cos, -sin, none, 0.16 * draws[:, 2]], 1),
            torch.stack([sin, cos, none, 0.16 * draws[:, 3]], 1),
            torch.stack([none, none, zoom, 0.16 * draws[:, 4]], 1),
        ]
    return torch.stack(rows, 1)


def _move(grid: Tensor, theta: Tensor, space: int, low: float) -> Tensor:
    """Sample a grid [batch, (channel,) *space] under an affine; integers by nearest neighbour, images linearly.

    What comes from outside is the batch's lowest intensity in images, missing (-1) in labels, and 0 in masks and validity.
    """
    whole = grid[:, None] if grid.ndim == space + 1 else grid
    fill = low if grid.is_floating_point() else -1.0 if grid.dtype == torch.int64 else 0.0
    mode = "bilinear" if grid.is_floating_point() else "nearest"
    flow = functional.affine_grid(theta, [len(whole), 1, *whole.shape[2:]], align_corners=False)
    moved = functional.grid_sample(whole.float() - fill, flow, mode=mode, padding_mode="zeros", align_corners=False) + fill
    return (moved[:, 0] if grid.ndim == space + 1 else moved).to(grid.dtype)
