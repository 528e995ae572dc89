"""What is the least that must change for the finding to go? The smallest change of the image that flips its score."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medkd.attribution._ascent import each, norms, scores_of, single, slopes_of
from medkd.targets import Target
from medkd.trace import Trace

RETURNS = "counterfactual"
SOURCE = "DeepFool, Moosavi-Dezfooli et al. 2016 (1511.04599), within the input's range, then bisected"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, False, False, True
TASKS = frozenset({"classification", "segmentation"})


@dataclass(frozen=True)
class Counterfactual:
    """The image as it would have to be.

    Attributes:
        image: [batch, channel, *space].
        change: image less the one that was given.
        distance: L2 norm of the change, float64 [batch], in the network's input units.
        before: score of the given image, float64 [batch].
        after: score of the changed one.
        flipped: whether their signs differ, bool [batch].
    """

    image: Tensor
    change: Tensor
    distance: Tensor
    before: Tensor
    after: Tensor
    flipped: Tensor


def adversarial(
    trace: Trace, target: Target, *, steps: int = 50, overshoot: float = 0.02, low: float = -1.0, high: float = 1.0
) -> Counterfactual:
    """Step to the boundary of the linearised score until the score has crossed zero, then come as near to it as eight halvings allow.

    The score should be a margin: its sign is the finding. A change that no step can reach within the input's range is returned as far as it
    came, not flipped.

    Args:
        trace: network and images.
        target: a margin.
        steps: at most.
        overshoot: relative, so that the boundary is crossed and not only reached.
        low: least value of the network's input.
        high: largest value.
    """
    model, inputs, given = single(trace, target)
    before = scores_of(model, inputs, given, target)
    image, score = given.clone(), before.clone()
    pace = torch.full_like(before, 1 + overshoot)
    for _ in range(steps):
        open_ = score * before.sign() > 0
        if not bool(open_.any()):
            break
        slope = slopes_of(model, inputs, image, target)
        # Voxels at the end of their range cannot go further: the others must do it.
        wanted = -each(before.sign(), image) * slope
        slope = slope * ~(((image <= low) & (wanted < 0)) | ((image >= high) & (wanted > 0)))
        steepness = slope.double().flatten(1).square().sum(1).clamp_min(1e-30).to(score)
        stepped = (image - each(pace * score / steepness, image) * slope).clamp(low, high)
        found = scores_of(model, inputs, stepped, target)
        # Past a kink the score may rise again: such a step is taken back, and half as long a one is tried.
        better = open_ & (found * before.sign() < score * before.sign())
        image = torch.where(each(better.double(), image) > 0, stepped, image)
        score = torch.where(better, found, score)
        pace = torch.where(better, (1.5 * pace).clamp_max(1 + overshoot), pace / 2)
    image, score = _nearer(trace, target, given, image, before, score)
    change = image - given
    return Counterfactual(image, change, norms(change).cpu(), before.cpu(), score.cpu(), (score * before.sign() <= 0).cpu())


def _nearer(trace: Trace, target: Target, given: Tensor, image: Tensor, before: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest point that still flips, between the given image and one that does; what did not flip stays."""
    crossed = score * before.sign() <= 0
    near, far = torch.zeros_like(before), torch.ones_like(before)
    change = image - given
    for _ in range(8):
        middle = (near + far) / 2
        flips = scores_of(trace.model, trace.inputs, given + each(middle, image) * change, target) * before.sign() <= 0
        far, near = torch.where(flips, middle, far), torch.where(flips, near, middle)
    far = torch.where(crossed, far, torch.ones_like(far))
    found = given + each(far, image) * change
    return found, scores_of(trace.model, trace.inputs, found, target)
