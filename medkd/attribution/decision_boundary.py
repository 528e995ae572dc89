"""How near is the boundary, and what does the answer look like on either side of it?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medkd.attribution._ascent import each, scores_of, single, slopes_of
from medkd.targets import Target
from medkd.trace import Trace

RETURNS = "boundary"
SOURCE = "planes through an image: Goodfellow et al. 2015 (1412.6544), Fawzi et al. 2017 (1705.09554); distance by bisection"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, False, False, True
TASKS = frozenset({"classification", "segmentation"})


@dataclass(frozen=True)
class Boundary:
    """A plane through each image, and where its score is zero.

    Attributes:
        distance: L2 from the image to the boundary along the steepest way, float64 [batch]; NaN where it is not met within ``reach``.
        scores: on the plane, float64 [batch, points, points]: rows along the steepest way, columns along another one; the image is the middle.
        offsets: L2 of each row and column from the image, float64 [batch, points].
        steepest: unit direction of the steepest fall of |score|, shaped as the image.
        other: unit direction at a right angle to it, drawn.
    """

    distance: Tensor
    scores: Tensor
    offsets: Tensor
    steepest: Tensor
    other: Tensor


def decision_boundary(trace: Trace, target: Target, *, points: int = 15, reach: float = 4.0) -> Boundary:
    """Find the boundary along the gradient and map the plane that the gradient and a drawn direction span.

    Args:
        trace: network and images.
        target: a margin: the boundary is where it is zero.
        points: along each axis of the plane, odd so that the image is one of them.
        reach: how far to look, in linearised distances |score| / ||gradient||.
    """
    model, inputs, image = single(trace, target)
    score, slope = scores_of(model, inputs, image, target), slopes_of(model, inputs, image, target)
    size = slope.double().flatten(1).norm(dim=1)
    # Towards zero from whichever side: down where the score is positive, up where it is negative.
    steepest = -each(score.sign() / size.clamp_min(1e-30).to(score), image) * slope
    # Seeded by the global generator, which callers fork: the same case gets the same plane again.
    drawn = torch.randn(image.shape[1:], generator=torch.Generator().manual_seed(int(torch.randint(2**31, ())))).to(image)
    # Gram and Schmidt: what is left of the drawn direction once its share along the steepest is taken away.
    other = drawn - (drawn * steepest).flatten(1).sum(1).view(-1, *(1,) * (image.ndim - 1)) * steepest
    other = other / each(other.double().flatten(1).norm(dim=1), image)
    linear = score.abs() / size.clamp_min(1e-30).to(score)
    offsets = torch.linspace(-1, 1, points, dtype=torch.double, device=score.device) * (reach * linear)[:, None]
    plane = torch.stack(
        [
            torch.stack([scores_of(model, inputs, image + each(a, image) * steepest + each(b, image) * other, target) for b in offsets.T])
            for a in offsets.T
        ]
    )
    distance = _bisected(trace, target, image, steepest, score, reach * linear)
    return Boundary(distance.cpu(), plane.movedim(2, 0).cpu(), offsets.cpu(), steepest, other)


def _bisected(trace: Trace, target: Target, image: Tensor, direction: Tensor, score: Tensor, reach: Tensor) -> Tensor:
    """Return the first change of sign along a direction, found on 32 steps and halved twelve times; NaN where there is none."""
    near, far = torch.zeros_like(score), torch.full_like(score, float("nan"))
    for step in range(1, 33):
        at = reach * step / 32
        flips = scores_of(trace.model, trace.inputs, image + each(at, image) * direction, target) * score.sign() <= 0
        # The first change of sign counts: beyond it the score may change back, which is another boundary.
        first = flips & far.isnan()
        far = torch.where(first, at, far)
        near = torch.where(far.isnan(), at, near)
    upper = far.clone()
    for _ in range(12):
        middle = torch.where(upper.isnan(), near, (near + upper) / 2)
        flips = scores_of(trace.model, trace.inputs, image + each(middle, image) * direction, target) * score.sign() <= 0
        upper, near = torch.where(flips & ~upper.isnan(), middle, upper), torch.where(flips, near, middle)
    return upper
