"""Integrated gradients: one forward pass per node for all targets of a case, in chunks so that memory stays bounded."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from medkd.attribution._budget import affordable
from medkd.attribution._chunk import chunk_of, in_memory
from medkd.attribution._gradients import as_asked, image_gradients, refuse_differentiable
from medkd.attribution._grid import require_finite
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Sundararajan et al. 2017 (1703.01365)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, True, True, False, True
TASKS = frozenset({"classification", "segmentation", "detection"})
COMPLETE_WITH = {"steps": 128}


def integrated_gradients(
    trace: Trace, target: Target, *, differentiable: bool = False, steps: int = 32, chunk: int | None = None, baseline: float = -1.0
) -> AttributionMap:
    """Return the integral of the gradient along the straight path from a constant baseline, times the difference, summed over channels.

    Complete: the values of a case sum to score(image) - score(baseline), up to the error of ``steps`` Gauss-Legendre nodes.

    Args:
        trace: gives the model and the image [batch, channel, *space]; the model runs frozen.
        target: any differentiable function of the logits, or several.
        differentiable: refused; double backward through every step costs more than it has shown to give.
        steps: nodes of the path integral; fewer under a time budget.
        chunk: images per forward pass; None as many as fit the memory budget, found once per network and size.
        baseline: value of the reference image in the network's input units (-1 is the low end of the window).

    Returns:
        Map [batch, *space]; [batch, targets, *space] of several targets.

    Raises:
        ExplanationError: ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "integrated_gradients")
    image = trace.image.detach()
    count = affordable(steps, lambda: image_gradients(trace.model, trace.inputs, target))
    places, weights = _nodes(count)
    size = chunk or chunk_of(trace.model, image)
    maps = []
    # Case by case: a target may hold one mask or class per case.
    for case in range(len(image)):
        one, own = image[case], target.of_case(case)
        inputs = {name: value[case : case + 1] for name, value in trace.inputs.items()}

        def summed(rows: Tensor, one: Tensor = one, own: Target = own, inputs: dict[str, Tensor] = inputs) -> Tensor:
            place = places[rows].to(image).view(-1, *(1,) * one.ndim)
            between = baseline + place * (one - baseline)
            others = {name: value.expand(len(rows), *value.shape[1:]) for name, value in inputs.items()}
            found = image_gradients(trace.model, {**others, "image": between}, own)
            return torch.einsum("n,n...->...", weights[rows].to(image), found)

        total = torch.zeros((), device=image.device)
        for rows in torch.arange(count).split(size):
            total = total + in_memory(trace.model, image, rows, summed, torch.add)
        maps.append((total * (one - baseline)).sum(1))
    return require_finite(as_asked(torch.stack(maps), target), "integrated_gradients")


@functools.cache
def _nodes(count: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of Gauss-Legendre quadrature over [0, 1], [count] each."""
    places, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy((places + 1) / 2), torch.from_numpy(weights / 2)
