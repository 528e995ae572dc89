"""What the trained models are explained and measured by."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data_contracts.record import Finite, FrozenModel
from data_contracts.task import Option, Task


class Entry(FrozenModel):
    """An entry of the catalogue with options."""

    name: str
    options: dict[str, Option] = Field(default_factory=dict)


class Shift(FrozenModel):
    """Another acquisition of the same anatomy (``medkd/volumes/shift.py``): noise of a deviation in units of the network's input (its window is
    2 wide), blur of a deviation in voxels, or intensities to the power of ``strength``.
    """

    kind: Literal["noise", "blur", "gamma"]
    strength: Finite = Field(gt=0)


class Explain(FrozenModel):
    """Which explainers and measures the trained models are judged by, and on how many cases (one of each patient before another of any).

    With a ``shift`` every measure is taken on shifted images too: ``off_distribution:MEASURE`` is that value less the one on the images
    themselves, of the same targets.
    """

    explainers: tuple[Entry, ...] = (Entry(name="cam"),)
    measures: tuple[Entry, ...] = ()
    cases: int = Field(default=40, ge=1)
    randomisation: bool = True
    shift: Shift | None = None


class ExplainSpec(FrozenModel):
    """Everything that the explanation of a cohort depends on beside its cases and the networks.

    Attributes:
        name: of the recipe, which file names follow from.
        task: of the networks.
        explain: explainers, measures, number of cases.
    """

    name: str
    task: Task
    explain: Explain
