"""Closed-form class activation map: the linear head's weights times the features it reads."""

from __future__ import annotations

from torch import Tensor

from medkd.attribution._grid import require_finite, resize_map
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Zhou et al. 2016 (1512.04150); segmentation: Vinogradova et al. 2020 (2002.11434)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, True, True
TASKS = frozenset({"classification", "segmentation"})


def cam(trace: Trace, target: Target, *, differentiable: bool = False) -> AttributionMap:
    """Return the class activation map of a linear target, before any rectifier, in units of the target.

    With channel weights alpha = mean over the grid of d score / d features, the map is sum_f alpha_f A_f. For a head behind
    global average pooling the values sum, over the layer's grid, to the score less the bias; for a 1x1 head it is
    Seg-Grad-CAM in closed form. It equals Grad-CAM before the rectifier.

    Args:
        trace: forward pass with ``anatomy.cam_layer`` tapped, image [batch, channel, *space].
        target: target linear in the logits.
        differentiable: keep the graph, so that a loss can pull on it.

    Returns:
        Map [batch, *space], interpolated linearly from the layer's grid.

    Raises:
        ExplanationError: ``LAYER_NOT_TAPPED``, ``HEAD_NOT_LINEAR`` or ``MAP_NOT_FINITE``.
    """
    features = trace.feature(trace.anatomy.cam_layer).float()
    weight, coefficients = trace.head_weight().float(), target.coefficients(trace.logits)
    if not differentiable:
        features, weight = features.detach(), weight.detach()
    alpha = _channel_weights(coefficients, weight, cells=features[0, 0].numel())
    attribution = (alpha.view(*alpha.shape, *(1,) * (features.ndim - 2)) * features).sum(1)
    return require_finite(resize_map(attribution, trace.image.shape[2:]), "cam")


def _channel_weights(coefficients: Tensor, weight: Tensor, *, cells: int) -> Tensor:
    """Return alpha [batch, features]; ``cells`` is the number of grid cells that the global average runs over."""
    if coefficients.ndim == 2:
        return coefficients @ weight / cells
    return coefficients.flatten(2).mean(2) @ weight
