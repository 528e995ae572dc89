"""Gradient times image: how much each voxel, as bright as it is, contributes to first order."""

from __future__ import annotations

from medkd.attribution._gradients import as_asked, image_gradients, refuse_differentiable
from medkd.attribution._grid import require_finite
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Shrikumar et al. 2016 (1605.01713)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, False, True
TASKS = frozenset({"classification", "segmentation", "detection"})


def input_times_gradient(trace: Trace, target: Target, *, differentiable: bool = False, baseline: float = -1.0) -> AttributionMap:
    """Return (x - x0) * d score / d x, summed over channels, in units of the target.

    Args:
        trace: gives the model and the image [batch, channel, *space].
        target: any differentiable function of the logits, or several.
        differentiable: refused.
        baseline: x0, what counts as no signal in the network's input units (-1 is the low end of the window).

    Returns:
        Map [batch, *space]; [batch, targets, *space] of several targets.

    Raises:
        ExplanationError: ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "input_times_gradient")
    found = image_gradients(trace.model, trace.inputs, target) * (trace.image.detach() - baseline)[:, None]
    return require_finite(as_asked(found.sum(2), target), "input_times_gradient")
