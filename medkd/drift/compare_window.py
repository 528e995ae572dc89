"""One window of studies beside the reference: which families moved, by which features, and whether that is an alarm.

The rate of alarms is what the user sets. Half of it is given to the single window (its p-value over all families), half to the evidence gathered
over windows, so that a sudden and a slow drift are both found and clean windows raise no more alarms than the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import comb

import numpy as np

from data_contracts import DataError, DriftReference, FamilyDrift, FeatureFamily, MovedFeature, StudyProfile, WindowDrift
from medkd.drift.e_detector import e_cusum
from medkd.drift.feature_table import FeatureTable, feature_tables
from medkd.drift.moved_features import direction_of, median_of
from medkd.drift.two_sample import (
    Floats,
    Windows,
    adjusted,
    draw_windows,
    energy_distances,
    ks_distances,
    permutation_p,
    pooled_ranks,
    smallest_p,
)
from medkd.drift.window_performance import window_performance

#: Permutations per window: the smallest p-value over all families, a few times 1 in so many, must lie below half of the rate.
PERMUTATIONS = 4999


@dataclass(frozen=True)
class DriftSettings:
    """How windows are compared.

    Attributes:
        alarm_rate: share of clean windows that may raise an alarm, over all families.
        window_studies: studies of a window.
        permutations: drawn per window.
        seed: of the draw.
    """

    alarm_rate: float = 0.01
    window_studies: int = 20
    permutations: int = PERMUTATIONS
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            DataError: ``DRIFT_SETTINGS``.
        """
        if not 0 < self.alarm_rate < 1:
            raise DataError("DRIFT_SETTINGS", f"expected an alarm rate between 0 and 1 (0.01: 1 in 100 windows), got {self.alarm_rate}")
        if self.window_studies < 2:
            raise DataError("DRIFT_SETTINGS", f"expected windows of 2 studies or more, got {self.window_studies}")
        if self.permutations + 1 < 20 / self.alarm_rate:
            raise DataError(
                "DRIFT_SETTINGS",
                f"expected {20 / self.alarm_rate:.0f} permutations or more for an alarm rate of {self.alarm_rate:g}, got {self.permutations}",
            )


@dataclass(frozen=True)
class _Family:
    """What was computed of one family: statistics of the observed window, and p-values of every arrangement."""

    table: FeatureTable
    energy: Floats
    distances: Floats  # [feature, arrangement]
    p: Floats
    largest: Floats = field(repr=False)


def compare_window(
    reference: DriftReference,
    studies: Sequence[StudyProfile],
    patients: Sequence[str],
    settings: DriftSettings,
    before: WindowDrift | None = None,
) -> WindowDrift:
    """Compare one window with the reference.

    Args:
        reference: of the model version.
        studies: of the window.
        patients: pseudonym of the patient of each.
        settings: rate, permutations.
        before: the window before this one, whose evidence is gathered on; None for the first.

    Raises:
        DataError: ``DRIFT_REFERENCE_SMALL`` where no window could reach the rate.
    """
    kept, place = sorted(set(patients)), len(set(reference.patients))
    require_reachable(place, len(kept), settings)
    numbers = np.array([*reference.patients, *(place + kept.index(patient) for patient in patients)], dtype=np.int64)
    in_window = np.arange(len(numbers)) >= len(reference.studies)
    # Before the compared values are looked at; the number of the window makes each draw another one.
    number = 1 if before is None else before.number + 1
    windows = draw_windows(numbers, in_window, settings.permutations, settings.seed + number)
    tables = feature_tables([*reference.studies, *studies])
    families = {family: _family(table, windows) for family, table in tables.items()}
    smallest = np.min([one.p for one in families.values()], axis=0)
    own_p = {family: adjusted(float(one.p[0]), smallest) for family, one in families.items()}
    evidence = {family: e_cusum(_evidence_before(before, family), float(one.p[0])) for family, one in families.items()}
    found = tuple(_family_drift(family, one, in_window, settings, (own_p[family], evidence[family])) for family, one in families.items())
    passed = [one for one in found if _passed(one, settings)]
    passed.sort(key=lambda one: (one.p, -one.e_process, -one.excess))
    earlier = () if before is None else before.order
    order = (*earlier, *(one.family for one in passed if one.family not in earlier))
    return WindowDrift(
        number=number,
        studies=len(studies),
        patients=len(kept),
        p=min(own_p.values()),
        alarm=bool(passed),
        first_family=next((family for family in order if family in {one.family for one in passed}), None),
        order=order,
        families=found,
        performance=window_performance(reference, studies),
    )


def require_reachable(reference_patients: int, window_patients: int, settings: DriftSettings) -> None:
    """Refuse a reference that is so small that even the greatest drift raises no alarm.

    Raises:
        DataError: ``DRIFT_REFERENCE_SMALL``.
    """
    arrangements = comb(reference_patients + window_patients, window_patients)
    if arrangements * settings.alarm_rate / 2 < 1:
        raise DataError(
            "DRIFT_REFERENCE_SMALL",
            f"expected enough patients for an alarm rate of {settings.alarm_rate:g}, {reference_patients} in the reference and {window_patients} "
            f"in the window can be divided in {arrangements} ways only; take larger windows or a larger reference",
        )


def _family(table: FeatureTable, windows: Windows) -> _Family:
    if not table.names:
        even = np.ones(len(windows))
        return _Family(table, np.zeros(len(windows)), np.zeros((0, len(windows))), even, np.zeros(len(windows)))
    energy = energy_distances(pooled_ranks(table.values), windows)
    distances = np.stack([ks_distances(column, windows) for column in table.values.T])
    largest = distances.max(0)
    return _Family(table, energy, distances, smallest_p(permutation_p(energy), permutation_p(largest)), largest)


def _family_drift(
    family: FeatureFamily, one: _Family, in_window: Windows, settings: DriftSettings, sure: tuple[float, float]
) -> FamilyDrift:
    spread = float(one.energy[1:].std())
    drift = FamilyDrift(
        family=family,
        energy_distance=float(one.energy[0]),
        excess=(float(one.energy[0]) - float(one.energy[1:].mean())) / spread if spread > 0 else 0.0,
        p=sure[0],
        e_process=min(sure[1], 1e300),
        features=len(one.table.names),
    )
    return drift.model_copy(update={"moved": _moved(one, in_window)}) if _passed(drift, settings) else drift


def _moved(one: _Family, in_window: Windows, level: float = 0.05, most: int = 5) -> tuple[MovedFeature, ...]:
    """Return the features that moved at a level among all of the family; the one that moved most where none is that sure."""
    rows = []
    for name, column, distance in zip(one.table.names, one.table.values.T, one.distances, strict=True):
        p = float((one.largest >= distance[0] - 1e-10).mean())
        inside, outside = column[in_window], column[~in_window]
        direction = direction_of(inside, outside)
        rows.append(
            MovedFeature(
                name=name,
                distance=min(1.0, float(distance[0])),  # a sum of shares may end an ulp above 1
                p=p,
                direction=direction,
                reference=median_of(outside),
                window=median_of(inside),
            )
        )
    rows.sort(key=lambda row: (row.p, -row.distance, row.name))
    return tuple([row for row in rows if row.p <= level][:most] or rows[:1])


def _passed(one: FamilyDrift, settings: DriftSettings) -> bool:
    """Return whether a family alone passes a threshold: half of the rate for each of the two, the evidence's divided among the families."""
    return one.p <= settings.alarm_rate / 2 or one.e_process >= 2 * len(FeatureFamily) / settings.alarm_rate


def _evidence_before(before: WindowDrift | None, family: FeatureFamily) -> float:
    if before is None or before.alarm:
        return 1.0  # after an alarm evidence is gathered anew, or one drift would be an alarm for ever
    return next(one.e_process for one in before.families if one.family is family)


def by_family(window: WindowDrift) -> Mapping[FeatureFamily, FamilyDrift]:
    """Return the families of a window by name."""
    return {one.family: one for one in window.families}
