"""What would the network like to see? An image that makes a score as large as it gets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medkd.attribution._ascent import scores_of, single, slopes_of
from medkd.targets import Target
from medkd.trace import Trace

RETURNS = "image"
SOURCE = "Erhan et al. 2009; total variation as in Mahendran & Vedaldi 2015 (1412.0035)"
SCOPE, ACCESS = "global", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = False, False, False, False, True
TASKS = frozenset({"classification", "segmentation"})


@dataclass(frozen=True)
class Imagined:
    """An image that was never taken.

    Attributes:
        image: [batch, channel, *space], within the range of the network's input.
        scores: of the target at every step, the beginning first, float64 [steps + 1, batch].
    """

    image: Tensor
    scores: Tensor


def activation_maximisation(
    trace: Trace, target: Target, *, steps: int = 64, rate: float = 0.1, smoothness: float = 0.02, low: float = -1.0, high: float = 1.0
) -> Imagined:
    """Climb the score from an image of its mean grey, held within the input's range; the best image of the way is returned.

    Args:
        trace: gives the model and the size; the mean of each image is where its climb begins.
        target: any differentiable function of the logits.
        steps: of the climb, each of ``rate`` times the range along the gradient, scaled to a largest magnitude of 1.
        rate: falls linearly to a tenth of itself.
        smoothness: weight of the total variation, relative to the gradient.
        low: least value of the network's input.
        high: largest value.
    """
    model, inputs, given = single(trace, target)
    spatial = tuple(range(1, given.ndim))
    # Even: whatever shows in the end was put there by the climb.
    image = given.mean(spatial, keepdim=True).expand_as(given).clamp(low, high).contiguous()
    best, scores = image, [scores_of(model, inputs, image, target)]
    for step in range(steps):
        slope = slopes_of(model, inputs, image, target)
        # Only the direction counts: the size of a gradient differs between networks by orders of magnitude.
        slope = slope / slope.abs().amax(spatial, keepdim=True).clamp_min(1e-30) - smoothness * _variation_slope(image)
        image = (image + rate * (high - low) * (1 - 0.9 * step / steps) * slope).clamp(low, high)
        scores.append(scores_of(model, inputs, image, target))
        better = scores[-1] >= torch.stack(scores).amax(0)
        best = torch.where(better.to(image.device).view(-1, *(1,) * len(spatial)), image, best)
    return Imagined(best, torch.stack(scores).cpu())


def _variation_slope(image: Tensor) -> Tensor:
    """Return the gradient of the (smoothed) total variation."""
    with torch.enable_grad():
        leaf = image.detach().requires_grad_()
        # Smoothed: the slope of |x| is not defined at zero, where an even image has all its differences.
        total = sum((leaf.diff(dim=axis).square() + 1e-4).sqrt().sum() for axis in range(2, image.ndim))
        (slope,) = torch.autograd.grad(torch.as_tensor(total), leaf)
    return slope
