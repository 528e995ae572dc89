"""Scores and their gradients of images that are changed step by step, shared by what is not a map."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from medkd.attribution._gradients import image_gradients
from medkd.targets import MultiTarget, Target
from medkd.trace import Trace, frozen
from medkd.trace import trace as run


def scores_of(model: nn.Module, inputs: Mapping[str, Tensor], image: Tensor, target: Target) -> Tensor:
    """Return the scores of changed images, float64 [batch], without gradients."""
    with frozen(model), torch.no_grad():
        scores: Tensor = target(run(model, {**inputs, "image": image}).logits)
    # Differences of scores decide on a change of sign: float32 leaves too few digits near the boundary.
    return scores.double()


def slopes_of(model: nn.Module, inputs: Mapping[str, Tensor], image: Tensor, target: Target) -> Tensor:
    """Return d score / d image, float32 shaped as the image."""
    return image_gradients(model, {**inputs, "image": image}, target)[:, 0]


def single(trace: Trace, target: Target) -> tuple[nn.Module, Mapping[str, Tensor], Tensor]:
    """Return model, inputs and image of a trace that is asked about one target.

    Raises:
        ValueError: for several targets at once.
    """
    if isinstance(target, MultiTarget):
        raise ValueError(f"expected one target, got {target}: what is searched for several would be a compromise")
    return trace.model, trace.inputs, trace.image.detach()


def norms(change: Tensor) -> Tensor:
    """Return the L2 norm of each case's change, float64 [batch]."""
    found: Tensor = change.double().flatten(1).norm(dim=1)
    return found


def each(values: Tensor, like: Tensor) -> Tensor:
    """Return values [batch] shaped to multiply an image [batch, channel, *space]."""
    return values.to(like).view(-1, *(1,) * (like.ndim - 1))
