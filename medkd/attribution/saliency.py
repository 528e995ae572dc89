"""The gradient of the explained score with respect to the image: what the answer is most sensitive to, voxel by voxel."""

from __future__ import annotations

import torch

from medkd.attribution._gradients import as_asked, gradients, image_gradients
from medkd.attribution._grid import require_finite
from medkd.targets import Target
from medkd.trace import Trace, running_statistics
from medkd.trace import trace as run
from medkd.types import AttributionMap

SOURCE = "Simonyan et al. 2014 (1312.6034)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, True, True
TASKS = frozenset({"classification", "segmentation"})


def saliency(trace: Trace, target: Target, *, differentiable: bool = False) -> AttributionMap:
    """Return d score / d image, summed over channels, signed, in units of the target per unit of the network's input.

    Args:
        trace: forward pass, image [batch, channel, *space]; the model runs again with running statistics and a graph at the image.
        target: any differentiable function of the logits, or several.
        differentiable: keep the graph of the gradient (double backward through the whole network), so that a loss can pull on it. Biases
            have no gradient through it.

    Returns:
        Map [batch, *space]; [batch, targets, *space] of several targets.

    Raises:
        ExplanationError: ``MAP_NOT_FINITE``.
    """
    if differentiable:
        image = trace.image.detach().requires_grad_()
        with running_statistics(trace.model), torch.enable_grad():
            again = run(trace.model, {**trace.inputs, "image": image})
            found = gradients(target, again.logits, image, create_graph=True).float()
    else:
        found = image_gradients(trace.model, trace.inputs, target)
    return require_finite(as_asked(found.sum(2), target), "saliency")
