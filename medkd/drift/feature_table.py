"""Profiles as tables of numbers, one per family: a column per feature, tags as columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_contracts import FeatureFamily, StudyProfile
from medkd.drift.two_sample import Floats

#: A value of a tag is a column of its own where at least this share of all studies has it.
COMMON = 0.02


@dataclass(frozen=True)
class FeatureTable:
    """The features of one family.

    Attributes:
        names: of the columns.
        values: [study, feature]; -inf where a feature is undefined. Features that are the same in all studies are left out.
    """

    names: tuple[str, ...]
    values: Floats


def feature_tables(studies: Sequence[StudyProfile]) -> dict[FeatureFamily, FeatureTable]:
    """Return the table of each family over all studies, those of the reference and of the window alike.

    Which columns there are depends on all studies together and not on which of them are the window: permutations stay exact.
    """
    return {family: _table(studies, family) for family in FeatureFamily}


def _table(studies: Sequence[StudyProfile], family: FeatureFamily) -> FeatureTable:
    rows = [one.of(family) for one in studies]
    columns = {name: [_number(row.get(name)) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    if family is FeatureFamily.IMAGES:
        columns |= _tag_columns(studies)
    kept = {name: column for name, column in columns.items() if len(set(column)) > 1}
    values = np.array(list(kept.values()), dtype=np.float64).T if kept else np.zeros((len(studies), 0))
    return FeatureTable(tuple(kept), values)


def _tag_columns(studies: Sequence[StudyProfile]) -> dict[str, list[float]]:
    pairs = sorted({pair for one in studies for pair in one.tags.items()})
    columns = {f"{name} {value}": [float(one.tags.get(name) == value) for one in studies] for name, value in pairs}
    return {name: column for name, column in columns.items() if sum(column) >= COMMON * len(studies)}


def _number(value: float | None) -> float:
    return float("-inf") if value is None else value
