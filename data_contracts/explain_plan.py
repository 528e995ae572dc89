"""What the trained models are explained and measured by."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data_contracts.record import Finite, FrozenModel
from data_contracts.task import Option, Task


class Entry(FrozenModel):
    """An entry of the catalogue with options.

    Attributes:
        name: in the catalogue (``medkd list explainers``, ``medkd list measures``).
        options: its options; checked against its signature before any compute.
    """

    name: str
    options: dict[str, Option] = Field(default_factory=dict)


class Shift(FrozenModel):
    """Another acquisition of the same anatomy (``medkd/volumes/shift.py``).

    Attributes:
        kind: ``noise``, ``blur``, or ``gamma`` (intensities to a power).
        strength: deviation of the noise in units of the network's input (its window is 2 wide), deviation of the blur in voxels, or the power.
    """

    kind: Literal["noise", "blur", "gamma"]
    strength: Finite = Field(gt=0)


class Explain(FrozenModel):
    """What the trained models are explained and judged by.

    Attributes:
        explainers: what makes the maps.
        measures: what is measured of them.
        cases: number of test cases that are explained, one of each patient before another of any.
        randomisation: whether maps are also made after the weights were drawn anew: a map that stays the same says nothing of the model.
        shift: every measure is taken on images of this other acquisition too: ``off_distribution:MEASURE`` is that value less the one on
            the images themselves, of the same targets.
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
