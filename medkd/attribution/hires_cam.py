"""HiResCAM: gradient times feature, place by place: no average over the grid that could move evidence to where there is none."""

from __future__ import annotations

from medkd.attribution._gradients import as_asked, kept_gradients
from medkd.attribution._grid import on_grid, require_finite
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Draelos & Carin 2020 (2011.08891)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, True, True
TASKS = frozenset({"classification", "segmentation"})


def hires_cam(
    trace: Trace, target: Target, *, differentiable: bool = False, layer: str | None = None, cells: int | None = None
) -> AttributionMap:
    """Return sum_f (d score / d A_f) A_f, in units of the target.

    Where everything above the layer is linear (a 1x1 head, or global average pooling and a linear head) the values sum, over the layer's
    grid, to the score less the bias.

    Args:
        trace: forward pass, image [batch, channel, *space]; as in ``grad_cam``.
        target: any differentiable function of the logits, or several.
        differentiable: build the graph of the gradient, so that a loss can pull on it.
        layer: tapped layer; None means the anatomy's ``cam_layer``.
        cells: average the map to at most so many cells along each axis.

    Returns:
        Map [batch, *space] ([batch, targets, *space] of several targets), interpolated linearly from the layer's grid.

    Raises:
        ExplanationError: ``LAYER_UNKNOWN``, ``LAYER_NOT_TAPPED``, ``GRAPH_MISSING`` or ``MAP_NOT_FINITE``.
    """
    features, gradient = kept_gradients(trace, target, layer or trace.layer_map.cam_layer, differentiable=differentiable)
    found = (gradient * features[:, None]).sum(2)
    return require_finite(as_asked(on_grid(found, trace.image.shape[2:], cells), target), "hires_cam")
