"""How a check is said: outcome from figures and threshold, and one sentence with all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from data_contracts import CheckOutcome, Estimate, PolicyTheme, PromotionCheck, PromotionPolicy
from medkd.promotion.version_records import VersionRecords


@dataclass(frozen=True)
class PromotionSetting:
    """What the checks of one promotion look at.

    Attributes:
        policy: what is asked.
        subject: the version that is to be promoted.
        reference: the version that it is compared with; None where there is none, or it cannot be read.
        role: what it is compared with; ``none`` where there is neither a champion nor a teacher.
        controls: control arms of the subject, by name.
        absent: why there is no reference, a clause.
    """

    policy: PromotionPolicy
    subject: VersionRecords
    reference: VersionRecords | None = None
    role: Literal["champion", "teacher", "none"] = "none"
    controls: dict[str, VersionRecords] = field(default_factory=dict)
    absent: str = "there is no champion"

    def margin(self, of_champion: float, of_teacher: float) -> float:
        """Return the margin that goes with what the subject is compared with."""
        return of_teacher if self.role == "teacher" else of_champion

    def not_measured(self, theme: PolicyTheme, name: str, reason: str) -> PromotionCheck:
        """Return a check that could not be made, refused or accepted as the policy says."""
        required = getattr(self.policy.not_measured, theme) == "refuse"
        done = "the policy refuses what was not measured" if required else "the policy accepts that"
        return PromotionCheck(
            theme=theme, name=name, outcome=CheckOutcome.NOT_MEASURED, required=required, reason=f"not measured: {reason}; {done}"
        )


#: One theme of the policy: its checks of a version.
Check = Iterator[PromotionCheck]


def not_applicable(theme: PolicyTheme, name: str, reason: str) -> PromotionCheck:
    """Return a check that the policy does not ask of such a version."""
    return PromotionCheck(theme=theme, name=name, outcome=CheckOutcome.NOT_APPLICABLE, required=False, reason=f"not applicable: {reason}")


def outcome_of(holds: bool) -> CheckOutcome:
    """Return the outcome of a check that was made."""
    return CheckOutcome.HOLDS if holds else CheckOutcome.FAILS


def shown(figure: Estimate, *, signed: bool = False) -> str:
    """Return a figure with its interval, ``+0.072 [+0.050, +0.091]``."""
    form = "+.3f" if signed else ".3f"
    return f"{figure.mean:{form}} [{figure.low:{form}}, {figure.high:{form}}]"
