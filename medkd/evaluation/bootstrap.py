"""Figures with intervals: seeds and patients are resampled, never images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from data_contracts import Figure

Statistic = Callable[[NDArray[np.int64], int], float]
RESAMPLES = 1000


def bootstrap_figure(statistic: Statistic, patients: Sequence[str], *, seeds: int = 1, missing: int = 0, unit: str = "") -> Figure:
    """Return a figure: the mean over seeds, and its 95 % percentile interval over two-level resamples (seeds, then patients).

    All images of a patient are drawn together (patients are the independent units); with one seed only patients are drawn.

    Args:
        statistic: row indices (may repeat) and a seed's index -> value; NaN where undefined.
        patients: patient of each row.
        seeds: how many trained networks the figure averages over.
        missing: rows without a defined value, reported in the figure.
        unit: unit of the value.
    """
    rng = np.random.default_rng(20260101)
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    sizes = np.bincount(codes)
    order, begins = np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes
    mean = _mean([statistic(np.arange(len(codes)), seed) for seed in range(seeds)])
    draws = []
    for _ in range(RESAMPLES):
        drawn_patients = rng.integers(0, len(sizes), len(sizes))
        rows = order[_ranges(begins[drawn_patients], sizes[drawn_patients])]
        drawn = rng.integers(0, seeds, seeds) if seeds > 1 else (0,)
        draws.append(_mean([statistic(rows, int(seed)) for seed in drawn]))
    defined = [value for value in draws if not math.isnan(value)]
    low, high = np.percentile(defined, [2.5, 97.5]) if defined else (mean, mean)
    return Figure(mean=mean, low=float(low), high=float(high), n=len(sizes), missing=missing, unit=unit)


def _ranges(begins: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return begin, begin + 1, … of each range, one after the other."""
    ends = np.cumsum(sizes)
    within: NDArray[np.int64] = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
    return np.repeat(begins, sizes) + within


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the defined values, NaN when there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan


def mean_of(values: NDArray[np.float64]) -> Statistic:
    """Return the statistic that averages values [seeds, rows], NaN left out."""

    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        count = int(np.count_nonzero(defined[seed, rows]))
        return float(filled[seed, rows].sum()) / count if count else math.nan

    return statistic


def auc_of(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Statistic:
    """Return the statistic that gives the AUC of scores [seeds, rows] against labels [rows], by ranks (fast in a bootstrap)."""
    from scipy.stats import rankdata

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        """Return the AUC of some rows: the rank sum of the positives, ties sharing their rank."""
        chosen = labels[rows]
        positives = int(chosen.sum())
        negatives = len(chosen) - positives
        if positives == 0 or negatives == 0:
            return float("nan")
        ranks = rankdata(scores[seed, rows])
        return float((ranks[chosen == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))

    return statistic


def average_precision_of(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Statistic:
    """Return the statistic that gives the average precision of scores [seeds, rows] (as the measure ``auprc``, fast in a bootstrap)."""

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
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
