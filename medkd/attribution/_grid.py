"""From a layer's grid to the image's, shared by the class-activation family."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import ExplanationError

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
#: By number of dimensions: a sequence, a picture, a volume.
POOLS: dict[int, Callable[..., Tensor]] = {
    1: functional.adaptive_avg_pool1d,
    2: functional.adaptive_avg_pool2d,
    3: functional.adaptive_avg_pool3d,
}


def weighted_sum(weights: Tensor, maps: Tensor) -> Tensor:
    """Return sum_f weights[b, (t,) f] maps[b, f, *grid] as one product per case: [b, (t,) *grid]."""
    # Autocast would make it a product of bf16 numbers.
    with torch.autocast(maps.device.type, enabled=False):
        flat = torch.bmm(weights.float() if weights.ndim > 2 else weights.float()[:, None], maps.flatten(2))
    return flat.reshape(*weights.shape[:-1], *maps.shape[2:])


def on_grid(maps: Tensor, shape: Sequence[int], max_cells: int | None = None) -> Tensor:
    """Bring maps [batch, (targets,) *grid] to an image's grid, or to what averaging them there to ``max_cells`` cells gives."""
    flat = maps.reshape(-1, *maps.shape[-len(shape) :])
    found = resize_map(flat, shape) if max_cells is None else resize_to_cells(flat, shape, max_cells)
    return found.reshape(*maps.shape[: -len(shape)], *found.shape[1:])


def resize_map(attribution: Tensor, shape: Sequence[int]) -> Tensor:
    """Interpolate a map [batch, *grid] linearly to [batch, *shape]; nothing is normalised or clipped."""
    if tuple(attribution.shape[1:]) == tuple(shape):
        return attribution
    mode = _MODES[len(shape)]
    return functional.interpolate(attribution[:, None], size=tuple(shape), mode=mode, align_corners=False)[:, 0]


def resize_to_cells(attribution: Tensor, shape: Sequence[int], max_cells: int) -> Tensor:
    """Return what averaging the map on the image's grid to at most ``max_cells`` cells along each axis gives, without making that map.

    Interpolation and averaging are linear and act axis by axis: together they are one small matrix per axis.
    """
    for axis, extent in enumerate(shape, start=1):
        if attribution.shape[axis] == extent <= max_cells:
            continue
        operator = _operator(attribution.shape[axis], extent, min(max_cells, extent)).to(attribution)
        # Autocast would make it a product of bf16 numbers.
        with torch.autocast(attribution.device.type, enabled=False):
            attribution = (attribution.movedim(axis, -1) @ operator).movedim(-1, axis)
    return attribution


@functools.cache
def _operator(source: int, extent: int, cells: int) -> Tensor:
    """Return [source, cells]: linear interpolation of ``source`` values to ``extent``, averaged to ``cells``."""
    wide = functional.interpolate(torch.eye(source)[None], size=extent, mode="linear", align_corners=False)
    return functional.adaptive_avg_pool1d(wide, cells)[0]


def require_finite(attribution: Tensor, explainer: str) -> Tensor:
    """Return the map, or raise ``MAP_NOT_FINITE`` when it holds NaN or infinity."""
    if not bool(attribution.isfinite().all()):
        raise ExplanationError(
            "MAP_NOT_FINITE", f"expected a finite map from {explainer}, got NaN or infinity: look at the image and the weights"
        )
    return attribution


def averaged(features: Tensor, cells: list[int]) -> Tensor:
    """Average features [batch, features, *grid] to [batch, features, *cells]."""
    if list(features.shape[2:]) == cells:
        return features
    result: Tensor = POOLS[len(cells)](features, cells)
    return result
