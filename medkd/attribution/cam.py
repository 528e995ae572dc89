"""Closed-form class activation map: the linear head's weights times the features it reads."""

from __future__ import annotations

from torch import Tensor

from medkd.attribution._grid import on_grid, require_finite, weighted_sum
from medkd.targets import Target, mean_coefficients
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Zhou et al. 2016 (1512.04150); segmentation: Vinogradova et al. 2020 (2002.11434)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, True, True
TASKS = frozenset({"classification", "segmentation", "detection"})


def cam(trace: Trace, target: Target, *, differentiable: bool = False, max_cells: int | None = None) -> AttributionMap:
    """Return the class activation map of a linear target, before any rectifier, in units of the target.

    With channel weights alpha = mean over the grid of d score / d features, the map is sum_f alpha_f A_f. For a head behind
    global average pooling the values sum, over the layer's grid, to the score less the bias; for a 1x1 head it is
    Seg-Grad-CAM in closed form. It equals Grad-CAM before the rectifier.

    Args:
        trace: forward pass with ``layer_map.cam_layer`` tapped, image [batch, channel, *space].
        target: any; one that is not linear in the logits is explained to first order. Or several.
        differentiable: keep the graph, so that a loss can pull on it.
        max_cells: average the map to at most so many cells along each axis, at the price of a map that small.

    Returns:
        Map [batch, *space] ([batch, targets, *space] of several targets), interpolated linearly from the layer's grid; on the grid of the logits where these were averaged to a coarser
        one (``medkd/training/coarse.py``).

    Raises:
        ExplanationError: ``LAYER_NOT_TAPPED``, ``HEAD_NOT_LINEAR`` or ``MAP_NOT_FINITE``.
    """
    features, weight = trace.feature(trace.layer_map.cam_layer), trace.head_weight()
    grid = trace.image.shape[2:]
    if trace.logits.ndim > 2 and all(f >= g for f, g in zip(features.shape[2:], trace.logits.shape[2:], strict=True)):
        found = _from_logits(trace, target)
        if trace.logits.shape[2:] != features.shape[2:]:
            # A loss compares on a coarser grid than the network's: there is nothing to gain from going back to the image's.
            grid = trace.logits.shape[2:]
    else:
        alpha = mean_coefficients(target, trace.logits) @ weight.float()
        # Behind global average pooling each cell's share of a feature is one over the number of cells.
        found = weighted_sum(alpha if trace.logits.ndim > 2 else alpha / features[0, 0].numel(), features.float())
    if not differentiable:
        found = found.detach()
    return require_finite(on_grid(found, grid, max_cells), "cam")


def _from_logits(trace: Trace, target: Target) -> Tensor:
    """Return the class map of a 1x1 head from its logits less its bias: the same sum, over classes instead of features."""
    bias = trace.model.get_submodule(trace.layer_map.head).bias
    maps = trace.logits.float()
    if isinstance(bias, Tensor):
        maps = maps - bias.float().view(1, -1, *(1,) * (maps.ndim - 2))
    return weighted_sum(mean_coefficients(target, trace.logits), maps)
