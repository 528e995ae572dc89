"""Integrated gradients through Captum, in chunks so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable

import torch
from captum.attr import IntegratedGradients

from data_contracts import ExplanationError
from medkd.attribution._grid import require_finite
from medkd.targets import Target
from medkd.trace import Trace, frozen
from medkd.types import AttributionMap

SOURCE = "Sundararajan et al. 2017 (1703.01365); captum 0.9"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, True, True, False, True
TASKS = frozenset({"classification", "segmentation"})


def integrated_gradients(
    trace: Trace, target: Target, *, differentiable: bool = False, steps: int = 32, chunk: int = 64, baseline: float = -1.0
) -> AttributionMap:
    """Return the integral of the gradient along the straight path from a constant baseline, times the difference, summed over channels.

    Complete: the values of a case sum to score(image) - score(baseline), up to the error of ``steps`` Gauss-Legendre nodes.

    Args:
        trace: gives the model and the image [batch, channel, *space]; the model runs frozen.
        target: function of the logits.
        differentiable: refused; double backward through every step costs more than it has shown to give.
        steps: nodes of the path integral.
        chunk: images per forward pass, at least one per case.
        baseline: value of the reference image in the network's input units (-1 is the low end of the window).

    Raises:
        ExplanationError: ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    if differentiable:
        raise ExplanationError(
            "NOT_DIFFERENTIABLE",
            "expected an explainer that declares DIFFERENTIABLE, integrated_gradients does not: choose cam or grad_cam",
        )
    maps = []
    with frozen(trace.model), torch.enable_grad():
        # Case by case: a target may hold one mask or class per case, which captum's expansion over steps would not follow.
        for case in range(len(trace.image)):
            image = trace.image[case : case + 1].detach()
            method = IntegratedGradients(_score_of(trace, target, case), multiply_by_inputs=True)
            maps.append(
                method.attribute(image, baselines=torch.full_like(image, baseline), n_steps=steps, internal_batch_size=chunk).sum(1)
            )
    return require_finite(torch.cat(maps).float(), "integrated_gradients")


def _score_of(trace: Trace, target: Target, case: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return images [n, channel, *space] -> scores [n] for one case's target, reading the coefficients off the traced logits."""
    coefficients = target.coefficients(trace.logits)[case : case + 1].detach()

    def score(images: torch.Tensor) -> torch.Tensor:
        output = trace.model(images)
        logits = output[trace.head] if isinstance(output, dict) else output
        scores: torch.Tensor = (logits.float() * coefficients).flatten(1).sum(1)
        return scores

    return score
