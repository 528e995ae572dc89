"""Guided backpropagation: gradients that are cut wherever a rectifier would pass on a negative one. Sharp, and hardly of the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_contracts import ExplanationError
from medkd.attribution._gradients import as_asked, gradients, refuse_differentiable
from medkd.attribution._grid import require_finite
from medkd.targets import Target
from medkd.trace import Trace, frozen
from medkd.trace import trace as run
from medkd.types import AttributionMap

SOURCE = "Springenberg et al. 2015 (1412.6806); fails the randomisation test of Adebayo et al. 2018 (1810.03292)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, False, False, False
TASKS = frozenset({"classification", "segmentation"})
_RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU)


def guided_backpropagation(trace: Trace, target: Target, *, differentiable: bool = False) -> AttributionMap:
    """Return the guided gradient with respect to the image, summed over channels.

    It draws edges of the image whatever the weights are: it is here to be compared with.

    Args:
        trace: gives the model and the image [batch, channel, *space].
        target: any differentiable function of the logits, or several.
        differentiable: refused.

    Returns:
        Map [batch, *space]; [batch, targets, *space] of several targets.

    Raises:
        ExplanationError: ``NO_RECTIFIER`` when the network has no rectifier that it could guide, ``NOT_DIFFERENTIABLE`` or
            ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "guided_backpropagation")
    if not any(isinstance(module, _RECTIFIERS) for module in trace.model.modules()):
        raise ExplanationError(
            "NO_RECTIFIER",
            f"expected a network with rectifiers (ReLU and its kin) to guide gradients through, {type(trace.model).__name__} has none: choose "
            "saliency",
        )
    image = trace.image.detach().requires_grad_()
    with frozen(trace.model), torch.enable_grad():
        again = run(trace.model, {**trace.inputs, "image": image}, on_output=_guide)
        found = gradients(target, again.logits, image).float()
    return require_finite(as_asked(found.sum(2), target), "guided_backpropagation")


def _guide(module: nn.Module, output: Tensor) -> None:
    """Let only positive gradients into a rectifier's output."""
    # The other half of the rule, nothing where the input was negative, is the backward pass of a ReLU itself.
    if isinstance(module, _RECTIFIERS) and output.requires_grad:
        output.register_hook(lambda gradient: gradient.clamp_min(0))
