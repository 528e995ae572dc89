"""Which calibration a network gets: each is judged on patients that it was not fitted on, the richer one wins where it is surely better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd.evaluation.bootstrap import bootstrap_figure, mean_of
from medkd.evaluation.fit_calibration import Scaling, losses, require_fit, temperature_of, unscaled, vector_of

FOLDS = 5
#: With fewer patients neither folds nor an interval say anything.
LEAST_PATIENTS = 20
NOT_BETTER = "neither temperature nor vector scaling lowers the loss on patients held out of the fit"


@dataclass(frozen=True)
class Samples:
    """What a calibration is fitted on.

    Attributes:
        logits: float64 [sample, class].
        labels: int64 [sample].
        patient: number of each sample's patient, from 0, int64 [sample].
        names: of the patients.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    patient: NDArray[np.int64]
    names: tuple[str, ...]

    def mean_of_patients(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of a value per sample over each patient's samples, [patient]."""
        found: NDArray[np.float64] = np.bincount(self.patient, weights=values, minlength=len(self.names)) / np.bincount(
            self.patient, minlength=len(self.names)
        )
        return found


@dataclass(frozen=True)
class Chosen:
    """The calibration that was chosen, and what it made of the samples of patients held out of the fit.

    Attributes:
        scaling: fitted on all patients.
        held_out: calibrated logits [sample, class], each patient's by a fit on other patients.
    """

    scaling: Scaling
    held_out: NDArray[np.float64]


def choose_calibration(samples: Samples) -> Chosen:
    """Return the calibration with the lowest loss on held-out patients; vector scaling only if its gain's 95 % interval leaves out zero.

    Raises:
        DataError: as :func:`~medkd.evaluation.fit_calibration.fit_temperature`.
    """
    logits, labels = samples.logits, samples.labels
    require_fit(logits, labels)
    classes = logits.shape[1]
    if len(samples.names) < LEAST_PATIENTS:
        return Chosen(unscaled(classes, f"{len(samples.names)} validation patients are fewer than {LEAST_PATIENTS}"), logits)
    one = temperature_of(logits, labels)
    vector = vector_of(logits, labels, one)
    held = {name: np.empty_like(logits) for name in ("temperature", "vector")}
    fold = folds_of(samples)[samples.patient]
    for index in range(FOLDS):
        train, test = fold != index, fold == index
        held["temperature"][test] = temperature_of(logits[train], labels[train])(logits[test])
        held["vector"][test] = vector_of(logits[train], labels[train], vector)(logits[test])
    plain, single, many = (samples.mean_of_patients(losses(values, labels)) for values in (logits, held["temperature"], held["vector"]))
    best, below = (Chosen(one, held["temperature"]), single) if single.mean() < plain.mean() else (Chosen(_none(one), logits), plain)
    surely_better = bootstrap_figure(mean_of((many - below)[None]), samples.names).high < 0
    return Chosen(vector, held["vector"]) if surely_better else best


def _none(tried: Scaling) -> Scaling:
    return unscaled(len(tried.scales), tried.reason if tried.method == "none" else NOT_BETTER)


def folds_of(samples: Samples) -> NDArray[np.int64]:
    """Return the fold of each patient: drawn by a fixed seed, patients with the highest labels spread evenly over them."""
    highest = np.zeros(len(samples.names), dtype=np.int64)
    np.maximum.at(highest, samples.patient, samples.labels)
    drawn = np.random.default_rng(20260301).permutation(len(samples.names))
    order = drawn[np.argsort(highest[drawn], kind="stable")]
    fold = np.empty(len(samples.names), dtype=np.int64)
    fold[order] = np.arange(len(order)) % FOLDS
    return fold
