"""The gate before a student that feedback taught may be registered: it predicts no worse, and its maps lie where readers want them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from data_contracts import Comparison, Estimate, GateFinding, GateVerdict
from medkd.feedback.attention import Attention
from medkd.registry.recipe_result import RANKING

Other = Literal["before", "control"]
#: By how much the task's figure may be worse at the lower bound of the paired interval.
MARGIN = 0.01
#: Studies whose feedback judges: of fewer nothing can be said.
LEAST_STUDIES = 5


@dataclass(frozen=True)
class Compared:
    """The student that feedback taught beside another one.

    Attributes:
        comparison: of the recipe's tests, paired by case and seed.
        after: where its maps lie, on studies whose feedback judges.
        other: where the other's do, on the same.
    """

    comparison: Comparison
    after: Attention
    other: Attention

    def differences(self) -> dict[str, Estimate]:
        """Return what it has more than the other, by figure; ``inside`` and ``outside`` are shares of the attribution."""
        attention = {name: self.after.difference(self.other, name) for name in ("inside", "outside")}
        return {**self.comparison.figures, **{name: found for name, found in attention.items() if found is not None}}


def judge(subject: str, compared: Mapping[Other, Compared]) -> GateVerdict:
    """Return the verdict over a student that feedback taught, against the one before and against one of the same budget without feedback.

    The task's figure (:data:`~medkd.registry.recipe_result.RANKING`) is not inferior: the lower bound of the paired interval of the
    difference is at least -0.01. The share of attribution inside rises and that on forbidden voxels falls, on studies whose feedback taught
    nothing. A figure that is undefined does not hold.

    Args:
        subject: what is judged.
        compared: with each of the others.
    """
    studies = min(len(one.after.patients) for one in compared.values())
    findings = [GateFinding(requirement="studies that judge", measured=studies, bound=LEAST_STUDIES, holds=studies >= LEAST_STUDIES)]
    for name, one in compared.items():
        found = one.differences()
        figure = next((known for known in RANKING if known in found), None)
        low = found[figure].low if figure is not None else -1.0
        findings.append(_finding(f"{figure or 'the figure'} less {name}'s, lower bound", low, -MARGIN, low >= -MARGIN))
        inside, outside = (found[key].mean if key in found else 0.0 for key in ("inside", "outside"))
        findings.append(_finding(f"share inside less {name}'s, above", inside, 0.0, inside > 0))
        findings.append(_finding(f"share on forbidden voxels less {name}'s, below", outside, 0.0, outside < 0))
    return GateVerdict(subject=subject, findings=tuple(findings), enforced=True)


def _finding(requirement: str, measured: float, bound: float, holds: bool) -> GateFinding:
    return GateFinding(requirement=requirement, measured=measured, bound=bound, holds=holds)
