"""Spatial and intensity views of a batch, drawn once and applied to image, mask, labels, validity and stored knowledge alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from medkd.trace import Sample

Kind = Literal["none", "flip", "affine"]


@dataclass(frozen=True)
class View:
    """One view per case: everything that was drawn of it.

    Attributes:
        flips: bool [batch], whether the columns are mirrored.
        theta: float32 [batch, space, space + 1], affine in normalised coordinates (column, row, slice); None leaves places as they are.
        gain: float32 [batch], of intensities.
        offset: float32 [batch].
    """

    flips: Tensor
    theta: Tensor | None = None
    gain: Tensor | None = None
    offset: Tensor | None = None


def draw_view(sample: Sample, kind: Kind, generator: torch.Generator) -> Sample:
    """Draw and apply one view per case; a sample whose view was drawn before (``frozen``) stays as it is.

    ``flip`` mirrors columns of each case with probability one half. ``affine`` adds rotation (± 15°, of volumes about the slice
    axis), zoom (± 15 %), shift (± 8 %) and an intensity gain and offset (± 15 % of the window). Images and everything on their
    grid move together.

    Args:
        sample: batch, image [batch, channel, *space].
        kind: which views are drawn.
        generator: the only source of randomness (CPU).
    """
    if kind == "none" or sample.view == "frozen":
        return sample
    return replace(apply_view(sample, draw_views(len(sample.image), sample.image.ndim - 2, kind, generator)), view=kind)


def draw_views(n: int, space: int, kind: Kind, generator: torch.Generator) -> View:
    """Draw the views of n cases with ``space`` axes."""
    flips = torch.rand(n, generator=generator) < 0.5
    if kind == "flip":
        return View(flips)
    theta = _draw_affine(n, space, generator)
    gain, offset = (0.15 * (2 * torch.rand((n, *(1,) * (space + 1)), generator=generator).flatten() - 1) for _ in range(2))
    return View(flips, theta, 1 + gain, offset)


def apply_view(sample: Sample, view: View) -> Sample:
    """Return the batch under a view. Intensities stay within each image's own range."""
    device = sample.image.device
    flips = view.flips.to(device)
    moved = _apply(sample, lambda grid, _: torch.where(flips.view(-1, *(1,) * (grid.ndim - 1)), grid.flip(-1), grid))
    if view.theta is None or view.gain is None or view.offset is None:
        return moved
    axes = (-1, *(1,) * (sample.image.ndim - 1))
    flat = sample.image.flatten(1)
    # Of the image as it was: gain and offset must not make intensities that its scanner never gave.
    low, high = flat.amin(1).view(axes), flat.amax(1).view(axes)
    mover = _Mover(view.theta.to(device), low)
    moved = _apply(moved, mover.move)
    image = moved.image * view.gain.to(device).view(axes) + view.offset.to(device).view(axes)
    return replace(moved, inputs={**moved.inputs, "image": image.clamp(low, high)})


def _apply(sample: Sample, move: Callable[[Tensor, str], Tensor]) -> Sample:
    """Apply a spatial map to every array of a sample that lies on the image's grid, or on a coarser one of the same image."""
    spatial = sample.image.ndim - 1

    def moved(value: Tensor | None) -> Tensor | None:
        """Move what lies on the grid; one number per case stays."""
        return move(value, "known") if value is not None and value.ndim == spatial else value

    return replace(
        sample,
        inputs={key: move(value, "image") for key, value in sample.inputs.items()},
        labels=moved(sample.labels),
        masks=moved(sample.masks),
        valid_mask=moved(sample.valid_mask),
        voxel_weights=moved(sample.voxel_weights),
        forbidden=moved(sample.forbidden),
        teacher={key: move(value, "teacher") if value.ndim == spatial + 1 else value for key, value in sample.teacher.items()},
    )


def _draw_affine(n: int, space: int, generator: torch.Generator) -> Tensor:
    """Return n affines [n, space, space + 1] in the order (column, row, slice) that torch's grids use."""
    # Five in two dimensions too: the same seed then draws the same plane for pictures and volumes.
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


class _Mover:
    """Samples grids under one affine per case; where each place comes from is worked out once per grid."""

    def __init__(self, theta: Tensor, low: Tensor) -> None:
        self._theta, self._low = theta, low
        self._flows: dict[tuple[int, ...], Tensor] = {}

    def move(self, grid: Tensor, kind: str) -> Tensor:
        """Sample a grid [batch, (channel,) *space]; integers by nearest neighbour, images and stored knowledge linearly.

        What comes from outside is the image's own lowest intensity in images, missing (-1) in labels, 0 in masks, validity and what is forbidden, and the
        nearest value in stored knowledge.
        """
        whole = grid[:, None] if grid.ndim == self._low.ndim - 1 else grid
        flow = self._flow(tuple(whole.shape[2:]))
        # Between two labels there is no label.
        mode = "bilinear" if grid.is_floating_point() else "nearest"
        if kind == "teacher":
            # Zero logits would be an answer, of equal probabilities: at the border the nearest stored one is the better guess.
            moved = functional.grid_sample(whole, flow, mode=mode, padding_mode="border", align_corners=False)
        else:
            # grid_sample knows zero and border only: shifted by what is wanted outside, zero is that value.
            fill = self._low if kind == "image" else -1.0 if grid.dtype == torch.int64 else 0.0
            moved = functional.grid_sample(whole.float() - fill, flow, mode=mode, padding_mode="zeros", align_corners=False) + fill
        return (moved[:, 0] if whole is not grid else moved).to(grid.dtype)

    def _flow(self, space: tuple[int, ...]) -> Tensor:
        # Image, masks and labels share a grid: the flow of a volume costs more than reading one of them.
        if space not in self._flows:
            self._flows[space] = functional.affine_grid(self._theta, [len(self._theta), 1, *space], align_corners=False)
        return self._flows[space]
