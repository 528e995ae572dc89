"""Figures with intervals: seeds and patients are resampled, never images."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contracts import Estimate

Statistic = Callable[[NDArray[np.int64], int], float]
RESAMPLES = 1000
#: A variance needs fewer resamples than a percentile.
CROSSED_RESAMPLES = 400


def bootstrap_figure(statistic: Statistic, patients: Sequence[str], *, seeds: int = 1, missing: int = 0, unit: str = "") -> Estimate:
    """Return a figure: the mean over seeds, and its 95 % percentile interval over two-level resamples (seeds, then patients).

    All images of a patient are drawn together (patients are the independent units); with one seed only patients are drawn.

    Args:
        statistic: row indices (may repeat) and a seed's index -> value; NaN where undefined.
        patients: patient of each row.
        seeds: how many trained networks the figure averages over.
        missing: rows without a defined value, reported in the figure.
        unit: unit of the value.
    """
    mean = _mean([statistic(np.arange(len(patients)), seed) for seed in range(seeds)])
    return _figure(mean, _drawn_values(statistic, patients, seeds), len(set(patients)), missing=missing, unit=unit)


def _drawn_values(statistic: Statistic, patients: Sequence[str], seeds: int) -> list[float]:
    """Return the mean over the drawn seeds of each resample."""
    if not isinstance(statistic, MeanOf) or len(patients) > _KEPT_ROWS:
        return [_mean([statistic(rows, seed) for seed in drawn]) for rows, drawn in _resamples(patients, seeds)]
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    counts, drawn_seeds = _counted_once(codes.astype(np.int64).tobytes(), seeds, RESAMPLES)
    values = np.take_along_axis(statistic.over(counts).T, drawn_seeds, axis=1)
    defined = ~np.isnan(values)
    number = defined.sum(axis=1)
    with np.errstate(invalid="ignore"):
        means = np.where(defined, values, 0.0).sum(axis=1) / number
    return [float(value) for value in np.where(number > 0, means, math.nan)]


def is_defined(statistic: Statistic, rows: int, seeds: int) -> bool:
    """Return whether a statistic has a value over all rows under at least one seed: what is undefined for every case is no figure."""
    return not math.isnan(_mean([statistic(np.arange(rows), seed) for seed in range(seeds)]))


def bootstrap_ratio(above: Statistic, below: Statistic, patients: Sequence[str], *, seeds: int = 1, least: float = 0.0) -> Estimate | None:
    """Return the ratio of two means over seeds with its interval; None where the one below is at most ``least`` over all cases.

    Resamples whose mean below is at most ``least`` have no ratio; they are left out of the interval and counted as missing.
    """

    def ratio(rows: NDArray[np.int64], drawn: Sequence[int]) -> float:
        bottom = _mean([below(rows, seed) for seed in drawn])
        return _mean([above(rows, seed) for seed in drawn]) / bottom if bottom > least else math.nan

    mean = ratio(np.arange(len(patients)), range(seeds))
    if math.isnan(mean):
        return None
    draws = [ratio(rows, drawn) for rows, drawn in _resamples(patients, seeds)]
    return _figure(mean, draws, len(set(patients)), missing=sum(math.isnan(draw) for draw in draws))


def _figure(mean: float, draws: Sequence[float], n: int, *, missing: int = 0, unit: str = "") -> Estimate:
    defined = [value for value in draws if not math.isnan(value)]
    low, high = np.percentile(defined, [2.5, 97.5]) if defined else (mean, mean)
    return Estimate(mean=mean, low=float(low), high=float(high), n=n, missing=missing, unit=unit)


def _resamples(patients: Sequence[str], seeds: int) -> Iterable[tuple[NDArray[np.int64], Sequence[int]]]:
    """Return the rows of drawn patients and the drawn seeds; the same for every statistic of the same patients."""
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    draw = _drawn_once if len(codes) <= _KEPT_ROWS else _draw
    return draw(codes.astype(np.int64).tobytes(), seeds, RESAMPLES)


#: Resamples of so many rows are kept for the next statistic: drawing them costs more than most statistics do. 1000 of them take 40 MB.
_KEPT_ROWS = 5000


@functools.lru_cache(maxsize=4)
def _drawn_once(codes: bytes, seeds: int, resamples: int) -> tuple[tuple[NDArray[np.int64], Sequence[int]], ...]:
    return tuple(_draw(codes, seeds, resamples))


@functools.lru_cache(maxsize=4)
def _counted_once(codes: bytes, seeds: int, resamples: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return how often each row is in each resample [resamples, rows], and the seeds of each [resamples, seeds]."""
    drawn = _drawn_once(codes, seeds, resamples)
    length = len(codes) // np.dtype(np.int64).itemsize
    counts = np.array([np.bincount(rows, minlength=length) for rows, _ in drawn], dtype=np.float64)
    return counts, np.array([chosen for _, chosen in drawn])


def _draw(codes: bytes, seeds: int, resamples: int) -> Iterator[tuple[NDArray[np.int64], Sequence[int]]]:
    rng = np.random.default_rng(20260101)
    patient = np.frombuffer(codes, dtype=np.int64)
    sizes = np.bincount(patient)
    order, begins = np.argsort(patient, kind="stable"), np.cumsum(sizes) - sizes
    for _ in range(resamples):
        drawn_patients = rng.integers(0, len(sizes), len(sizes))
        rows = order[_ranges(begins[drawn_patients], sizes[drawn_patients])]
        rows.flags.writeable = False
        yield rows, tuple(rng.integers(0, seeds, seeds).tolist()) if seeds > 1 else (0,)


def _ranges(begins: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return begin, begin + 1, … of each range, one after the other."""
    ends = np.cumsum(sizes)
    within: NDArray[np.int64] = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
    return np.repeat(begins, sizes) + within


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the defined values, NaN when there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan


class MeanOf:
    """The statistic that averages values [seeds, rows], NaN left out: over some rows, or over many resamples at once."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._defined = ~np.isnan(values)
        self._filled = np.where(self._defined, values, 0.0)

    def __call__(self, rows: NDArray[np.int64], seed: int) -> float:
        """Return the mean over rows, which may repeat; NaN where none is defined."""
        count = int(np.count_nonzero(self._defined[seed, rows]))
        return float(self._filled[seed, rows].sum()) / count if count else math.nan

    def over(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the means [seeds, resamples] over resamples that hold each row so often [resamples, rows]."""
        number = self._defined.astype(np.float64) @ counts.T
        with np.errstate(invalid="ignore"):
            means: NDArray[np.float64] = (self._filled @ counts.T) / number
        means[number == 0] = math.nan
        return means


def mean_of(values: NDArray[np.float64]) -> Statistic:
    """Return the statistic that averages values [seeds, rows], NaN left out."""
    return MeanOf(values)


def auc_of(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Statistic:
    """Return the statistic that gives the AUC of scores [seeds, rows] against labels [rows] (fast in a bootstrap).

    Scores are ranked once; a resample only counts how often each distinct score was drawn among positives and negatives.
    """
    ranked = [np.unique(own, return_inverse=True) for own in scores]

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        """Return the AUC of some rows: the share of pairs in which the positive scores higher, ties counting half."""
        (distinct, place), positive = ranked[seed], labels[rows] == 1
        above, below = (np.bincount(place[rows[chosen]], minlength=len(distinct)) for chosen in (positive, ~positive))
        pairs = int(above.sum()) * int(below.sum())
        return float(above @ (np.cumsum(below) - below / 2)) / pairs if pairs else math.nan

    return statistic


def average_precision_of(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Statistic:
    """Return the statistic that gives the average precision of scores [seeds, rows] (as the measure ``auprc``, fast in a bootstrap)."""

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        """Return the average precision of some rows."""
        order = np.argsort(-scores[seed, rows], kind="stable")
        ranked, chosen = scores[seed, rows][order], labels[rows][order]
        positives = int(chosen.sum())
        if positives in (0, len(chosen)):
            return math.nan
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        found = np.cumsum(chosen)[ends]
        gained = np.diff(found, prepend=0)
        return float((gained * found / (ends + 1)).sum() / positives)

    return statistic


@dataclass(frozen=True)
class CrossedEstimate:
    """A quantity with its 95 % interval and the two-sided p of its being zero."""

    mean: float
    low: float
    high: float
    p: float
    n: int


def crossed_estimate(statistic: Statistic, patients: Sequence[str], *, seeds: int, resamples: int | None = None) -> CrossedEstimate:
    """Return the mean over seeds of a statistic, with an interval that holds for few seeds: training runs and patients are crossed.

    The variance is that among seeds (on the same patients) divided by their number, plus that of the mean over seeds among bootstrap
    samples of patients; the interval is Student's t with Satterthwaite's degrees of freedom, as in multi-reader studies (Obuchowski and
    Rockette 1995, with runs in the place of readers). A percentile bootstrap over five seeds is too narrow: where training runs vary
    most, it calls one difference in eight significant where there is none (``tests/evaluation/test_bootstrap.py``). The part of the
    variance that is a seed's own error on single patients is counted twice, which errs on the side of caution.

    Args:
        statistic: as in :func:`bootstrap_figure`; for a difference, of both arms on the same rows and seed (paired).
        patients: patient of each row.
        seeds: how many trained networks; with one, only patients vary.
        resamples: bootstrap samples of patients; by default ``CROSSED_RESAMPLES``.
    """
    from scipy.stats import t

    rng = np.random.default_rng(20260102)
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    sizes = np.bincount(codes)
    order, begins = np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes
    each = np.array([statistic(np.arange(len(codes)), seed) for seed in range(seeds)])
    each = each[~np.isnan(each)]
    if not len(each):
        return CrossedEstimate(math.nan, math.nan, math.nan, 1.0, len(sizes))
    draws = []
    for _ in range(resamples or CROSSED_RESAMPLES):
        drawn = rng.integers(0, len(sizes), len(sizes))
        rows = order[_ranges(begins[drawn], sizes[drawn])]
        draws.append(_mean([statistic(rows, seed) for seed in range(seeds)]))
    of_patients = float(np.nanvar(draws, ddof=1))
    of_seeds = float(each.var(ddof=1)) / len(each) if len(each) > 1 else 0.0
    mean, variance = float(each.mean()), of_seeds + of_patients
    if variance == 0:
        return CrossedEstimate(mean, mean, mean, 1.0 if mean == 0 else 0.0, len(sizes))
    freedom = variance**2 / (of_seeds**2 / max(1, len(each) - 1) + of_patients**2 / max(1, len(sizes) - 1))
    reach = float(t.ppf(0.975, freedom)) * math.sqrt(variance)
    return CrossedEstimate(mean, mean - reach, mean + reach, float(2 * t.sf(abs(mean) / math.sqrt(variance), freedom)), len(sizes))


#: How the interval of :func:`difference_figure` is made over several seeds.
CROSSED = "95 %, seeds and patients crossed: variance among seeds plus that among patients, Student's t with Satterthwaite's degrees of freedom, paired"


def difference_figure(statistic: Statistic, patients: Sequence[str], *, seeds: int = 1) -> Estimate:
    """Return a paired difference with its 95 % interval: over several seeds that of :func:`crossed_estimate`, of one seed that of the percentiles.

    Both are about the same mean over seeds; the percentiles of few seeds are too narrow (:func:`crossed_estimate`).

    Args:
        statistic: the difference of two arms on the same rows and seed.
        patients: patient of each row.
        seeds: how many trained networks the difference averages over.
    """
    if seeds > 1:
        found = crossed_estimate(statistic, patients, seeds=seeds)
        # What is undefined in every resample has no spread that could be known.
        if not math.isnan(found.low):
            return Estimate(mean=found.mean, low=found.low, high=found.high, n=found.n)
    return bootstrap_figure(statistic, patients, seeds=seeds)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p values corrected for their number by Holm's step-down method (1979), in the given order."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return tuple(corrected)
