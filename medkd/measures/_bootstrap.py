"""Figures with intervals: seeds and patients are resampled, never images."""

from __future__ import annotations

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
    rows_of = [np.flatnonzero(codes == patient) for patient in range(codes.max() + 1)]
    everything = np.arange(len(codes))
    mean = float(np.nanmean([statistic(everything, seed) for seed in range(seeds)]))
    draws = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rows_of[patient] for patient in rng.integers(0, len(rows_of), len(rows_of))])
        drawn = rng.integers(0, seeds, seeds) if seeds > 1 else np.zeros(1, dtype=np.int64)
        values = [statistic(rows, int(seed)) for seed in drawn]
        if not np.all(np.isnan(values)):
            draws.append(np.nanmean(values))
    low, high = np.percentile(draws, [2.5, 97.5]) if draws else (mean, mean)
    return Figure(mean=mean, low=float(low), high=float(high), n=len(rows_of), missing=missing, unit=unit)


def mean_of(values: NDArray[np.float64]) -> Statistic:
    """Return the statistic that averages values [seeds, rows], NaN left out."""

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        chosen = values[seed, rows]
        return float(np.nanmean(chosen)) if not np.all(np.isnan(chosen)) else float("nan")

    return statistic


def auc_of(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Statistic:
    """Return the statistic that gives the AUC of scores [seeds, rows] against labels [rows], by ranks (fast in a bootstrap)."""
    from scipy.stats import rankdata

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        chosen = labels[rows]
        positives = int(chosen.sum())
        negatives = len(chosen) - positives
        if positives == 0 or negatives == 0:
            return float("nan")
        ranks = rankdata(scores[seed, rows])
        return float((ranks[chosen == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))

    return statistic
