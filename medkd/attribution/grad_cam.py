"""Grad-CAM of any tapped layer, with the graph begun at that layer."""

from __future__ import annotations

from medkd.attribution._gradients import as_asked, kept_gradients
from medkd.attribution._grid import on_grid, require_finite, weighted_sum
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Selvaraju et al. 2017 (1610.02391); leaf at the layer: as Captum LayerGradCam"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, True, True
TASKS = frozenset({"classification", "segmentation", "detection"})


def grad_cam(
    trace: Trace, target: Target, *, differentiable: bool = False, layer: str | None = None, rectify: bool = False, cells: int | None = None
) -> AttributionMap:
    """Return sum_f alpha_f A_f with alpha the gradient's mean over the grid, in units of the target.

    Args:
        trace: forward pass, image [batch, channel, *space]. With ``differentiable`` its own graph is used and ``layer`` must be
            tapped; otherwise the frozen model runs once more with the graph beginning at ``layer``.
        target: any differentiable function of the logits, or several.
        differentiable: build the graph of the gradient (double backward), so that a loss can pull on it.
        layer: tapped layer; None means the anatomy's ``cam_layer``.
        rectify: keep positive values only, as in the paper; off by default because maps are stored signed.
        cells: average the map to at most so many cells along each axis, at the price of a map that small.

    Returns:
        Map [batch, *space] ([batch, targets, *space] of several targets), interpolated linearly from the layer's grid.

    Raises:
        ExplanationError: ``LAYER_UNKNOWN``, ``LAYER_NOT_TAPPED``, ``GRAPH_MISSING`` or ``MAP_NOT_FINITE``.
    """
    features, gradient = kept_gradients(trace, target, layer or trace.layer_map.cam_layer, differentiable=differentiable)
    found = weighted_sum(gradient.flatten(3).mean(3), features)
    found = found.relu() if rectify else found
    return require_finite(as_asked(on_grid(found, trace.image.shape[2:], cells), target), "grad_cam")
