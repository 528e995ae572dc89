"""Closed-form class activation map: the linear head's weights times the features it reads."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.attribution._grid import require_finite, resize_map, resize_to_cells
from medkd.targets import Target, mean_coefficients
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Zhou et al. 2016 (1512.04150); segmentation: Vinogradova et al. 2020 (2002.11434)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, True, True
TASKS = frozenset({"classification", "segmentation"})


def cam(trace: Trace, target: Target, *, differentiable: bool = False, cells: int | None = None) -> AttributionMap:
    """Return the class activation map of a linear target, before any rectifier, in units of the target.

    With channel weights alpha = mean over the grid of d score / d features, the map is sum_f alpha_f A_f. For a head behind
    global average pooling the values sum, over the layer's grid, to the score less the bias; for a 1x1 head it is
    Seg-Grad-CAM in closed form. It equals Grad-CAM before the rectifier.

    Args:
        trace: forward pass with ``anatomy.cam_layer`` tapped, image [batch, channel, *space].
        target: target linear in the logits.
        differentiable: keep the graph, so that a loss can pull on it.
        cells: average the map to at most so many cells along each axis, at the price of a map that small.

    Returns:
        Map [batch, *space], interpolated linearly from the layer's grid; on the grid of the logits where these were averaged to a coarser
        one (``medkd/training/coarse.py``).

    Raises:
        ExplanationError: ``LAYER_NOT_TAPPED``, ``HEAD_NOT_LINEAR`` or ``MAP_NOT_FINITE``.
    """
    features, weight = trace.feature(trace.anatomy.cam_layer), trace.head_weight()
    grid = trace.image.shape[2:]
    if trace.logits.ndim > 2 and all(f >= g for f, g in zip(features.shape[2:], trace.logits.shape[2:], strict=True)):
        attribution = _from_logits(trace, target)
        if trace.logits.shape[2:] != features.shape[2:]:
            # A loss compares on a coarser grid than the network's: there is nothing to gain from going back to the image's.
            grid = trace.logits.shape[2:]
    else:
        coefficients = target.coefficients(trace.logits)
        alpha = _channel_weights(coefficients, weight.float(), cells=features[0, 0].numel())
        attribution = _weighted_sum(alpha, features.float())
    if not differentiable:
        attribution = attribution.detach()
    found = resize_map(attribution, grid) if cells is None else resize_to_cells(attribution, grid, cells)
    return require_finite(found, "cam")


def _from_logits(trace: Trace, target: Target) -> Tensor:
    """Return the class map of a 1x1 head from its logits less its bias: the same sum, over classes instead of features."""
    bias = trace.model.get_submodule(trace.anatomy.head).bias
    maps = trace.logits.float()
    if isinstance(bias, Tensor):
        maps = maps - bias.float().view(1, -1, *(1,) * (maps.ndim - 2))
    return _weighted_sum(mean_coefficients(target, trace.logits), maps)


def _weighted_sum(weights: Tensor, maps: Tensor) -> Tensor:
    """Return sum_f weights[b, f] maps[b, f, *grid] as one product per case."""
    # Autocast would make it a product of bf16 numbers.
    with torch.autocast(maps.device.type, enabled=False):
        flat = torch.bmm(weights.float()[:, None], maps.flatten(2))
    return flat.reshape(len(maps), *maps.shape[2:])


def _channel_weights(coefficients: Tensor, weight: Tensor, *, cells: int) -> Tensor:
    """Return alpha [batch, features]; ``cells`` is the number of grid cells that the global average runs over."""
    if coefficients.ndim == 2:
        return coefficients @ weight / cells
    return coefficients.flatten(2).mean(2) @ weight
