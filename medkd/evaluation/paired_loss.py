"""How much worse a student is than its teacher on the same cases, with an interval over patients."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from data_contracts import LossAxis

RESAMPLES = 1000
#: Resampled patients that are in memory at once.
_AT_ONCE = 2_000_000
_SEED = 20260103
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class PairedFigure:
    """A figure of two networks on the same cases: the sum over columns of the absolute mean of ``teacher`` and of ``student``.

    A mean of values that are not negative has one column; the expected calibration error has one a bin.

    Attributes:
        axis: what kind of loss it tells of.
        key: its stable name.
        what: the figure in words.
        patients: of whose each case is, [case].
        teacher: contributions [case, column]; all defined.
        student: the same.
        missing: cases for which neither has a value, which are left out.
        higher_is_better: false of errors.
        yes_or_no: true where a case contributes 0 or 1.
    """

    axis: LossAxis
    key: str
    what: str
    patients: Sequence[str]
    teacher: Rows
    student: Rows
    missing: int = 0
    higher_is_better: bool = True
    yes_or_no: bool = False

    @property
    def n(self) -> int:
        """Return the number of patients."""
        return len(set(self.patients))


@dataclass(frozen=True)
class PairedLoss:
    """A difference with its own 95 % interval, and with a lower and an upper bound each of which holds with 95 % for all figures together."""

    teacher: float
    student: float
    loss: float
    low: float
    high: float
    simultaneous_low: float
    simultaneous_high: float


def paired_loss(figure: PairedFigure, *, figures: int) -> PairedLoss:
    """Return how much worse the student is; positive is worse, whichever way the figure goes.

    The standard error is that of the difference among bootstrap samples of patients (both networks on the same patients), the interval
    Student's t with a degree of freedom less than there are patients: percentiles of few patients are too narrow, and far out in the tails,
    where a correction for many figures looks, there are too few resamples for them. Shares of yes and no get half a patient for each of the
    four outcomes (Agresti and Min 2005): where all patients agree, a bootstrap alone has no spread and would call five of five sure.

    Args:
        figure: of the two networks.
        figures: how many are looked at together. Their bounds are one-sided with 5 % shared among them (Bonferroni): a statement asks whether
            anything was lost. They are never narrower than the interval.
    """
    sign = 1.0 if figure.higher_is_better else -1.0
    sums = _by_patient(figure)
    means = _means(*sums)
    patients = len(sums[2])
    if figure.yes_or_no:
        sums = _with_half_patients(*sums)
    centre = _means(*sums)
    error = float(_differences(*sums).std(ddof=1)) * math.sqrt(len(sums[2]) / (len(sums[2]) - 1))
    bounds = [_bounds(sign * (centre[0] - centre[1]), error, patients, tail) for tail in (0.025, min(0.025, 0.05 / max(1, figures)))]
    return PairedLoss(means[0], means[1], sign * (means[0] - means[1]), *bounds[0], *bounds[1])


def _means(teacher: Rows, student: Rows, counts: Rows) -> tuple[float, float]:
    """Return the figures of both networks over all patients."""
    cases = counts.sum(keepdims=True)
    return float(_figure_of(teacher.sum(0, keepdims=True), cases)[0]), float(_figure_of(student.sum(0, keepdims=True), cases)[0])


def _bounds(centre: float, error: float, patients: int, tail: float) -> tuple[float, float]:
    reach = float(stdtrit(patients - 1, 1 - tail)) * error
    # All figures lie between 0 and 1, so no difference is larger.
    return max(-1.0, centre - reach), min(1.0, centre + reach)


def _by_patient(figure: PairedFigure) -> tuple[Rows, Rows, Rows]:
    """Return contributions summed over the cases of each patient, [patient, column], and how many cases each has, [patient]."""
    codes = np.unique(np.asarray(figure.patients), return_inverse=True)[1]
    counts = np.bincount(codes).astype(np.float64)
    sums = []
    for values in (figure.teacher, figure.student):
        summed = np.zeros((len(counts), values.shape[1]))
        np.add.at(summed, codes, values)
        sums.append(summed)
    return sums[0], sums[1], counts


def _with_half_patients(teacher: Rows, student: Rows, counts: Rows) -> tuple[Rows, Rows, Rows]:
    # Four halves, two of them with a difference (one for each side), have the sums and squares of two patients of ±√½.
    size = counts.mean()
    half = np.array([[np.sqrt(0.5)], [0.0]]) * size
    return np.vstack([teacher, half]), np.vstack([student, half[::-1]]), np.append(counts, [size, size])


def _figure_of(sums: Rows, counts: Rows) -> Rows:
    """Return the figure of each sample from its sums [sample, column] and its number of cases [sample]."""
    found: Rows = np.abs(sums).sum(1) / counts
    return found


def _differences(teacher: Rows, student: Rows, counts: Rows) -> Rows:
    """Return teacher less student (as figures, whichever way they go) of each bootstrap sample of patients."""
    patients = len(counts)
    step = max(1, min(RESAMPLES, _AT_ONCE // patients))
    found = []
    for begin in range(0, RESAMPLES, step):
        weights = (_kept_weights if step == RESAMPLES else _weights)(patients, begin, min(step, RESAMPLES - begin))
        cases = weights @ counts
        found.append(_figure_of(weights @ teacher, cases) - _figure_of(weights @ student, cases))
    return np.concatenate(found)


def _weights(patients: int, begin: int, size: int) -> Rows:
    """Return how often each patient is drawn in each of ``size`` bootstrap samples, [sample, patient]."""
    drawn = np.random.default_rng((_SEED, begin)).integers(0, patients, (size, patients)) + np.arange(size)[:, None] * patients
    return np.bincount(drawn.ravel(), minlength=size * patients).reshape(size, patients).astype(np.float64)


#: Most figures of a statement are of the same number of patients, and drawing them costs more than what is computed from it.
_kept_weights = functools.lru_cache(maxsize=8)(_weights)
