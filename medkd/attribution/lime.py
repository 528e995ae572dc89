"""LIME over supervoxels: a weighted linear model of what hiding regions does to the answer."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.attribution._gradients import refuse_differentiable
from medkd.attribution._grid import require_finite
from medkd.attribution._hide import MaskedInput, case_by_case, spread, supervoxels
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Ribeiro et al. 2016 (1602.04938)"
SCOPE, ACCESS = "local", "black box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, False, True
TASKS = frozenset({"classification", "segmentation"})


def lime(
    trace: Trace,
    target: Target,
    *,
    differentiable: bool = False,
    players: int = 32,
    samples: int = 512,
    width: float = 0.25,
    ridge: float = 0.1,
    baseline: float = -1.0,
) -> AttributionMap:
    """Return the slopes of a ridge regression of the score on which regions are visible, shared equally among a region's voxels.

    Copies are weighted by exp(-d^2 / width^2) with d = 1 - sqrt(share of regions that are visible), the cosine distance from the image.

    Args:
        trace: gives the model and the image [batch, channel, *space].
        target: any function of the logits, or several.
        differentiable: refused.
        players: about how many supervoxels the image is divided into.
        samples: copies asked about, each region visible in half of them; fewer under a time budget.
        width: of the kernel.
        ridge: penalty of the regression.
        baseline: value of what is hidden, in the network's input units.

    Returns:
        Map [batch, *space] ([batch, targets, *space] of several targets).

    Raises:
        ExplanationError: ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "lime")

    from sklearn.linear_model import Ridge  # scikit-learn takes two seconds to import: only who asks pays

    def explain(masked: MaskedInput) -> Tensor:
        """Return the maps of one case, [targets, *space]."""
        parts = supervoxels(masked.image[0], players)
        count = int(parts.max()) + 1
        drawn = torch.rand(masked.affordable(samples, least=8) - 1, count) < 0.5
        kept = torch.cat([torch.ones(1, count, dtype=torch.bool), drawn])
        scores = masked.keeping(kept, parts).cpu().numpy()
        distance = 1 - kept.double().mean(1).sqrt()
        model = Ridge(alpha=ridge).fit(kept.double().numpy(), scores, sample_weight=torch.exp(-((distance / width) ** 2)).numpy())
        return spread(torch.from_numpy(model.coef_).reshape(scores.shape[1], count).T, parts)

    return require_finite(case_by_case(trace, target, baseline, explain), "lime")
