"""Two versions on the same cases: figures, and differences with intervals over patients that are resampled together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contracts import CaseResults, Estimate, Subset
from medkd.evaluation.bootstrap import Statistic, auc_of, bootstrap_figure, is_defined, mean_of

Values = NDArray[np.float64]
#: A figure that is made of all cases of a test, and the per-case quantity that it is made of.
AUC, PROBABILITY = "auc", "probability"
#: Mean probability of the case's own class: what stands for the AUC where all cases are of one class.
OWN_CLASS = "probability of the own class"
#: Value of a case that the version has none for where the other version has one: the worst of the quantities that policies compare. A
#: version whose maps or answers became undefined would otherwise gain by leaving its hardest cases out.
WORST = {"agreement": -1.0}


@dataclass(frozen=True)
class PairedCases:
    """One quantity of a test, of a version and of what it is compared with.

    Attributes:
        own: value per case, NaN where undefined.
        other: of the same cases; None without a comparison.
        labels: class of each case, -1 where unknown.
        patients: whose each case is.
    """

    own: Values
    other: Values | None
    labels: NDArray[np.int64]
    patients: tuple[str, ...]

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> PairedCases:
        """Return some of the cases."""
        chosen = np.asarray(rows, dtype=np.int64)
        other = None if self.other is None else self.other[chosen]
        return PairedCases(self.own[chosen], other, self.labels[chosen], tuple(self.patients[row] for row in chosen))


@dataclass(frozen=True)
class PairedFigure:
    """A figure of a version beside another's.

    Attributes:
        own: of the version.
        other: of what it is compared with; None without a comparison.
        difference: version less other; None without a comparison.
    """

    own: Estimate
    other: float | None = None
    difference: Estimate | None = None


def main_test(results: CaseResults) -> str:
    """Return the test that figures are compared on: the one without the planted bias where there is one."""
    return Subset.DEBIASED.value if Subset.DEBIASED.value in results.units else Subset.TEST.value


def incomparable(own: CaseResults, other: CaseResults | None) -> str | None:
    """Return why two versions' results are not of the same cases; None where they are."""
    if other is None:
        return "the other version kept no per-case results"
    test = main_test(own)
    digests = [results.cohorts.get(test, "") for results in (own, other)]
    if digests[0] != digests[1] or own.units.get(test) != other.units.get(test):
        return f"not comparable: the cohorts of {test} are {digests[0][:12] or 'none'} and {digests[1][:12] or 'none'}"
    return None


def quantity_of(figure: str) -> str:
    """Return the per-case quantity that a figure is made of."""
    return PROBABILITY if figure in (AUC, OWN_CLASS) else figure


def has_figure(results: CaseResults, figure: str) -> bool:
    """Return whether a version's results have what a figure is made of."""
    return f"{main_test(results)}/{quantity_of(figure)}" in results.values


def paired_cases(figure: str, own: CaseResults, other: CaseResults | None) -> PairedCases:
    """Return the cases of one figure; ``other`` must be of the same cases (:func:`incomparable`)."""
    test, quantity = main_test(own), quantity_of(figure)
    values = _array(own, f"{test}/{quantity}")
    beside = _array(other, f"{test}/{quantity}") if other is not None and f"{test}/{quantity}" in other.values else None
    rows = len(values) if beside is None else min(len(values), len(beside))
    values = values[:rows]
    if beside is not None:
        beside = beside[:rows]
        values = np.where(np.isnan(values) & ~np.isnan(beside), WORST.get(quantity, 0.0), values)
    units = own.units[test]
    labels = np.array([-1 if label is None else label for label in units.labels[:rows]], dtype=np.int64)
    return PairedCases(values, beside, labels, units.patient_keys[:rows])


def _array(results: CaseResults, name: str) -> Values:
    return np.array([np.nan if value is None else value for value in results.values[name]], dtype=np.float64)


def paired_figure(figure: str, cases: PairedCases) -> PairedFigure | None:
    """Return a figure and its difference; None where it is undefined (an AUC of one class, no case with a value)."""
    rows = len(cases.own)
    if cases.other is not None:
        cases = cases.select(np.flatnonzero(~np.isnan(cases.other)))
    if len(cases.own) == 0:
        return None
    missing = rows - len(cases.own) + int(np.isnan(cases.own).sum())
    own = _statistic(figure, cases.own, cases.labels)
    if own is None or not is_defined(own, len(cases.own), 1):
        return None
    found = bootstrap_figure(own, cases.patients, missing=missing)
    if cases.other is None:
        return PairedFigure(found)
    other = _statistic(figure, cases.other, cases.labels)
    if other is None:
        return None
    difference = bootstrap_figure(_difference(own, other), cases.patients, missing=missing)
    return PairedFigure(found, other(np.arange(len(cases.own)), 0), difference)


def _statistic(figure: str, values: Values, labels: NDArray[np.int64]) -> Statistic | None:
    if figure not in (AUC, OWN_CLASS):
        return mean_of(values[None])
    if (labels < 0).any():
        return None
    return auc_of(values[None], labels) if figure == AUC else mean_of(np.where(labels == 1, values, 1 - values)[None])


def _difference(own: Statistic, other: Statistic) -> Statistic:
    return lambda rows, seed: own(rows, seed) - other(rows, seed)
