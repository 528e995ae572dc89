"""A threshold that bounds the expected share of missed lesions: conformal risk control (Angelopoulos et al. 2022, 2208.02814).

A lesion is found when one of its voxels reaches the threshold, so it is known by its highest probability. A patient's loss at a threshold
is the share of own lesions that lie below it: it never falls as the threshold rises and is at most 1. The threshold is the highest at which
n/(n + 1) · mean loss + 1/(n + 1) ≤ α over the n patients who have lesions. Another patient, exchangeable with them, then misses an expected
share of at most α.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data_contracts import ConformalBound, DataError

#: Expected share of missed lesions that is allowed.
ALPHA = 0.1


def bound_missed(
    scores: Sequence[NDArray[np.float64]],
    negatives: NDArray[np.float64],
    *,
    unit: Literal["lesion", "positive"],
    alpha: float = ALPHA,
) -> ConformalBound:
    """Return the threshold that bounds what is missed, or why there is none.

    Args:
        scores: of each patient the highest probability within each lesion (of a classifier: the probability of each positive case);
            patients without any are left out.
        negatives: probability of lesion-free voxels (of cases without a finding), which tells what the threshold costs.
        unit: what may be missed.
        alpha: bound of the expected share.

    Raises:
        DataError: ``CALIBRATION_NOT_FINITE`` for probabilities that are not finite.
    """
    of_patients = [one for one in scores if len(one)]
    patients, units = len(of_patients), sum(map(len, of_patients))
    flat = np.concatenate(of_patients) if of_patients else np.zeros(0)
    if not (np.isfinite(flat).all() and np.isfinite(negatives).all()):
        raise DataError("CALIBRATION_NOT_FINITE", "expected finite probabilities, some are not")
    least = int(np.ceil(1 / alpha - 1e-9)) - 1
    if patients < least:
        reason = f"{patients} validation patients with a {unit} are too few: a bound of {alpha:g} needs {least}"
        return ConformalBound(alpha=alpha, unit=unit, patients=patients, units=units, reason=reason)
    weights = np.concatenate([np.full(len(one), 1 / (patients * len(one))) for one in of_patients])
    threshold, missed = _highest(flat, weights, (alpha * (patients + 1) - 1) / patients)
    return ConformalBound(
        alpha=alpha,
        unit=unit,
        patients=patients,
        units=units,
        threshold=threshold,
        missed=missed,
        false_positives=float((negatives >= threshold).mean()) if len(negatives) else None,
    )


def _highest(scores: NDArray[np.float64], weights: NDArray[np.float64], allowed: float) -> tuple[float, float]:
    """Return the highest score with at most ``allowed`` weight strictly below it, and that weight; nothing lies below the lowest."""
    order = np.argsort(scores, kind="stable")
    ranked, total = scores[order], np.concatenate([[0.0], np.cumsum(weights[order])])
    places = np.searchsorted(ranked, ranked, side="left")
    # Sums of weights carry rounding: a share that is allowed exactly is allowed.
    last = int(np.flatnonzero(total[places] <= allowed + 1e-12)[-1])
    return float(ranked[last]), float(min(1.0, total[places[last]]))
