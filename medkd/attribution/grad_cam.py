"""Grad-CAM of any tapped layer, with the graph begun at that layer."""

from __future__ import annotations

import torch

from data_contracts import ExplanationError
from medkd.attribution._grid import require_finite, resize_map, resize_to_cells
from medkd.targets import Target
from medkd.trace import Trace, frozen
from medkd.trace import trace as run
from medkd.types import AttributionMap

SOURCE = "Selvaraju et al. 2017 (1610.02391); leaf at the layer: as Captum LayerGradCam"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, True, True
TASKS = frozenset({"classification", "segmentation"})


def grad_cam(
    trace: Trace, target: Target, *, differentiable: bool = False, layer: str | None = None, rectify: bool = False, cells: int | None = None
) -> AttributionMap:
    """Return sum_f alpha_f A_f with alpha the gradient's mean over the grid, in units of the target.

    Args:
        trace: forward pass, image [batch, channel, *space]. With ``differentiable`` its own graph is used and ``layer`` must be
            tapped; otherwise the frozen model runs once more with the graph beginning at ``layer``.
        target: any differentiable function of the logits.
        differentiable: build the graph of the gradient (double backward), so that a loss can pull on it.
        layer: tapped layer; None means the anatomy's ``cam_layer``.
        rectify: keep positive values only, as in the paper; off by default because maps are stored signed.
        cells: average the map to at most so many cells along each axis, at the price of a map that small.

    Returns:
        Map [batch, *space], interpolated linearly from the layer's grid.

    Raises:
        ExplanationError: ``LAYER_UNKNOWN``, ``LAYER_NOT_TAPPED``, ``GRAPH_MISSING`` or ``MAP_NOT_FINITE``.
    """
    name = layer or trace.anatomy.cam_layer
    if differentiable:
        features = trace.feature(name)
        if not features.requires_grad:
            raise ExplanationError(
                "GRAPH_MISSING", "expected a trace with a graph for a differentiable map, got one made under no_grad or a frozen model"
            )
        (gradient,) = torch.autograd.grad(target(trace.logits).sum(), features, create_graph=True)
    else:
        with frozen(trace.model), torch.enable_grad():
            again = run(trace.model, trace.inputs, leaf=name)
            features = again.feature(name)
            (gradient,) = torch.autograd.grad(target(again.logits).sum(), features)
        features = features.detach()
    alpha = gradient.float().flatten(2).mean(2)
    attribution = (alpha.view(*alpha.shape, *(1,) * (features.ndim - 2)) * features.float()).sum(1)
    attribution = attribution.relu() if rectify else attribution
    shape = trace.image.shape[2:]
    found = resize_map(attribution, shape) if cells is None else resize_to_cells(attribution, shape, cells)
    return require_finite(found, "grad_cam")
