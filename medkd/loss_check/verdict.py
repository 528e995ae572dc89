"""What a check of a loss found: a verdict per law, per kind of task and number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from data_contracts import FrozenModel

Holds = Literal["holds", "broken", "not applicable"]


class LawVerdict(FrozenModel):
    """One law.

    Attributes:
        law: its name.
        verdict: whether it holds.
        sentence: what was seen, and what to do where it is broken.
        figures: what was measured.
    """

    law: str
    verdict: Holds
    sentence: str
    figures: dict[str, float] = Field(default_factory=dict)


class SettingVerdicts(FrozenModel):
    """All laws on small networks of one kind.

    Attributes:
        task: ``classification`` or ``segmentation``.
        spatial_dims: 2 or 3.
        laws: one verdict each, up to one after which no other says anything; where the loss crashed at once, that alone; empty where it is not for these.
        failed: why the loss could not be asked here: it is not for these networks, or it crashed.
    """

    task: str
    spatial_dims: int
    laws: tuple[LawVerdict, ...] = ()
    failed: str | None = None

    @property
    def name(self) -> str:
        """Return the task and the number of dimensions, as texts name them."""
        return f"{self.task} {self.spatial_dims}D"


class LossReport(FrozenModel):
    """A whole check.

    Attributes:
        loss: name of the loss.
        source: ``catalogue``, or the name of the file it was read from.
        settings: the kinds of small networks that it was asked on.
        controls: what a gain through this term must beat before the teacher's explanations get the credit.
    """

    loss: str
    source: str
    settings: tuple[SettingVerdicts, ...]
    controls: tuple[str, ...]

    def broken(self) -> tuple[tuple[SettingVerdicts, LawVerdict], ...]:
        """Return every broken law with where it was broken."""
        return tuple((setting, law) for setting in self.settings for law in setting.laws if law.verdict == "broken")


def verdict(law: str, verdict: Holds, sentence: str, **figures: float) -> LawVerdict:
    """Return a verdict; figures that are not finite are left out, since JSON has no word for them."""
    return LawVerdict(law=law, verdict=verdict, sentence=sentence, figures=_finite(figures))


def held(law: str, holds: bool, sentence: str, otherwise: str, **figures: float) -> LawVerdict:
    """Return ``holds`` with one sentence or ``broken`` with the other."""
    return verdict(law, "holds" if holds else "broken", sentence if holds else otherwise, **figures)


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in figures.items() if math.isfinite(value)}
