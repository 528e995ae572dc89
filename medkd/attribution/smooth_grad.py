"""Gradients averaged over noisy copies of the image: what stays when the noise of single gradients cancels."""

from __future__ import annotations

import torch

from medkd.attribution._budget import affordable
from medkd.attribution._gradients import as_asked, image_gradients, refuse_differentiable
from medkd.attribution._grid import require_finite
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Smilkov et al. 2017 (1706.03825)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, False, True
TASKS = frozenset({"classification", "segmentation"})


def smooth_grad(
    trace: Trace, target: Target, *, differentiable: bool = False, samples: int = 16, noise: float = 0.1, times_input: bool = False
) -> AttributionMap:
    """Return the mean gradient over noisy copies of the image, summed over channels.

    Args:
        trace: gives the model and the image [batch, channel, *space].
        target: any differentiable function of the logits, or several; frozen on the image itself.
        differentiable: refused.
        samples: noisy copies; fewer under a time budget. All cases of a batch get the same noise, scaled to their own range.
        noise: standard deviation in units of the image's own range (0.1 to 0.2 in the paper).
        times_input: multiply by the image less -1, the low end of the window.

    Returns:
        Map [batch, *space]; [batch, targets, *space] of several targets.

    Raises:
        ExplanationError: ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "smooth_grad")
    image = trace.image.detach()
    axes = (-1, *(1,) * (image.ndim - 1))
    flat = image.flatten(1)
    spread = noise * (flat.amax(1) - flat.amin(1)).view(axes)
    total = torch.zeros(())
    count = affordable(samples, lambda: image_gradients(trace.model, trace.inputs, target))
    for _ in range(count):
        # One draw for the whole batch: what a case gets must not depend on its company.
        noisy = image + spread * torch.randn(image.shape[1:]).to(image)
        total = total.to(image.device) + image_gradients(trace.model, {**trace.inputs, "image": noisy}, target)
    found = total / count
    if times_input:
        found = found * (image + 1)[:, None]
    return require_finite(as_asked(found.sum(2), target), "smooth_grad")
