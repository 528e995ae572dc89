"""Seg-XRes-CAM: gradients pooled over windows rather than over everything: a segmentation's evidence stays near where it is."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from medkd.attribution._gradients import as_asked, kept_gradients
from medkd.attribution._grid import on_grid, require_finite
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Hasany et al. 2023 (2303.01237)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, False, True, True
TASKS = frozenset({"segmentation"})
_MEANS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_LARGEST = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


def seg_xres_cam(
    trace: Trace,
    target: Target,
    *,
    differentiable: bool = False,
    layer: str | None = None,
    window: int = 2,
    pool: Literal["mean", "max"] = "max",
    cells: int | None = None,
) -> AttributionMap:
    """Return sum_f up(pool(d score / d A_f)) A_f, in units of the target: between HiResCAM (window 1) and Grad-CAM (window as the grid).

    Args:
        trace: forward pass, image [batch, channel, *space]; as in ``grad_cam``.
        target: any differentiable function of the logits, or several.
        differentiable: build the graph of the gradient, so that a loss can pull on it.
        layer: tapped layer; None means the anatomy's ``cam_layer``.
        window: cells of the layer's grid along each axis that share a weight.
        pool: ``max`` as published, or ``mean``, which keeps the map additive.
        cells: average the map to at most so many cells along each axis.

    Returns:
        Map [batch, *space] ([batch, targets, *space] of several targets), interpolated linearly from the layer's grid.

    Raises:
        ExplanationError: ``LAYER_UNKNOWN``, ``LAYER_NOT_TAPPED``, ``GRAPH_MISSING`` or ``MAP_NOT_FINITE``.
    """
    features, gradient = kept_gradients(trace, target, layer or trace.layer_map.cam_layer, differentiable=differentiable)
    weights = _pooled(gradient.flatten(0, 1), window, pool).reshape(gradient.shape)
    found = (weights * features[:, None]).sum(2)
    return require_finite(as_asked(on_grid(found, trace.image.shape[2:], cells), target), "seg_xres_cam")


def _pooled(values: Tensor, window: int, pool: str) -> Tensor:
    """Pool values [n, channel, *grid] over windows and spread them over their windows again; the last ones may be cut."""
    grid = values.shape[2:]
    size = [min(window, extent) for extent in grid]
    if pool == "mean":
        pooled = _MEANS[len(grid)](values, size, ceil_mode=True, count_include_pad=False)
    else:
        pooled = _LARGEST[len(grid)](values, size, ceil_mode=True)
    for axis, (extent, along) in enumerate(zip(grid, size, strict=True), start=2):
        # Exactly as it was pooled: interpolation would let a weight reach beyond its window.
        pooled = pooled.repeat_interleave(along, dim=axis).narrow(axis, 0, extent)
    return pooled
