"""KernelSHAP over supervoxels: Shapley values of an image's regions, from the outside alone."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from medkd.attribution._gradients import refuse_differentiable
from medkd.attribution._grid import require_finite
from medkd.attribution._hide import MaskedInput, case_by_case, spread, supervoxels
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Lundberg & Lee 2017 (1705.07874); paired draws: Covert & Lee 2021 (2012.01536)"
SCOPE, ACCESS = "local", "black box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, True, True, False, True
TASKS = frozenset({"classification", "segmentation"})
COMPLETE_WITH: dict[str, int] = {}


def kernel_shap(
    trace: Trace,
    target: Target,
    *,
    differentiable: bool = False,
    players: int = 32,
    samples: int = 512,
    baseline: float = -1.0,
    regions: Tensor | None = None,
) -> AttributionMap:
    """Return Shapley values of regions, shared equally among their voxels: the values of a case sum to score(image) - score(baseline).

    A weighted least-squares fit over coalitions of regions; all of them where there are no more than ``samples``: the values are then exact.
    All targets of a case are read off the same coalitions.

    Args:
        trace: gives the model and the image [batch, channel, *space].
        target: any function of the logits, or several.
        differentiable: refused.
        players: about how many supervoxels the image is divided into (at most 64 make sense).
        samples: coalitions asked about; fewer under a time budget.
        baseline: value of what is hidden, in the network's input units.
        regions: int64 [*space], numbered from 0: organs or lesions instead of supervoxels.

    Returns:
        Map [batch, *space] ([batch, targets, *space] of several targets).

    Raises:
        ExplanationError: ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "kernel_shap")

    def explain(masked: MaskedInput) -> Tensor:
        """Return the maps of one case, [targets, *space]."""
        parts = supervoxels(masked.image[0], players) if regions is None else regions
        count = int(parts.max()) + 1
        whole, nothing = masked.keeping(torch.tensor([[True] * count, [False] * count]), parts)
        if count == 1:
            return spread((whole - nothing)[None], parts)
        kept, weights = coalitions(count, masked.affordable(samples, least=8))
        return spread(shapley_fit(kept, weights, masked.keeping(kept, parts) - nothing, whole - nothing), parts)

    return require_finite(case_by_case(trace, target, baseline, explain), "kernel_shap")


def coalitions(players: int, samples: int) -> tuple[Tensor, Tensor]:
    """Return coalitions, bool [n, players], none empty and none whole, and their weights in the fit, float64 [n].

    All of them with the Shapley kernel's weights where ``samples`` allows; otherwise drawn by that kernel, each with its complement.
    """
    if 2**players - 2 <= samples:
        kept = torch.tensor(list(itertools.product((False, True), repeat=players)))[1:-1]
        sizes = kept.sum(1)
        weights = [(players - 1) / (math.comb(players, size) * size * (players - size)) for size in sizes.tolist()]
        return kept, torch.tensor(weights, dtype=torch.double)
    sizes = torch.arange(1, players, dtype=torch.double)
    chance = 1 / (sizes * (players - sizes))
    drawn = torch.multinomial(chance, max(1, samples // 2), replacement=True) + 1
    order = torch.rand(len(drawn), players).argsort(1).argsort(1)
    half = order < drawn[:, None]
    return torch.cat([half, ~half]), torch.ones(2 * len(drawn), dtype=torch.double)


def shapley_fit(kept: Tensor, weights: Tensor, scores: Tensor, total: Tensor) -> Tensor:
    """Return the values [players, targets] that fit scores [n, targets] of coalitions best, weighted, and sum to ``total`` [targets]."""
    design = kept.to(scores)
    # The last player's value is what the others leave: the sum is kept exactly.
    left = design[:, :-1] - design[:, -1:]
    right = scores - design[:, -1:] * total
    root = weights.to(scores).sqrt()[:, None]
    fitted = torch.linalg.lstsq((left * root).cpu(), (right * root).cpu(), driver="gelsd").solution.to(scores)
    return torch.cat([fitted, (total - fitted.sum(0))[None]])
