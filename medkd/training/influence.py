"""How much of a batch's loss feedback may be: readers saw a few studies, and what they say of these must not outweigh all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from medkd.distillation._together import mean_over_processes
from medkd.training.objective import BoundTerm

_TINY = 1e-12


@dataclass(frozen=True)
class Influence:
    """What terms that read feedback are multiplied by in one step.

    Attributes:
        factor: at most 1, without a gradient; None where nothing is held back.
        shown: ``influence``, their share of the loss after that, for the journal.
    """

    factor: Tensor | None = None
    shown: dict[str, Tensor] = field(default_factory=dict)


def influence_of(weighted: Sequence[tuple[BoundTerm, float, Tensor]], cap: float | None) -> Influence:
    """Return the factor under which terms that read feedback have at most a share ``cap`` of the loss.

    Args:
        weighted: terms with their weights and values; shares are those of the batch, also where processes share it.
        cap: between 0 and 1; None holds nothing back.
    """
    if cap is None or not any(term.is_feedback for term, _, _ in weighted):
        return Influence()
    device = weighted[0][2].device
    sums = {True: torch.zeros((), device=device), False: torch.zeros((), device=device)}
    for term, weight, value in weighted:
        sums[term.is_feedback] = sums[term.is_feedback] + weight * value.detach().float()
    feedback, others = (mean_over_processes(sums[own]).clamp_min(0) for own in (True, False))
    # x feedback <= cap (x feedback + others), solved for x.
    factor = (cap / (1 - cap) * others / feedback.clamp_min(_TINY)).clamp_max(1.0)
    return Influence(factor, {"influence": factor * feedback / (factor * feedback + others).clamp_min(_TINY)})
