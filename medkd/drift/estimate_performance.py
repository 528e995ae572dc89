"""How well does a model do where nobody has labelled anything? Estimated from how sure it is, and from labelled studies of its reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def atc_threshold(scores: ArrayLike, correct: ArrayLike) -> float:
    """Return the threshold of average thresholded confidence: as many scores lie below it as answers are wrong (Garg et al. 2022, equation 1).

    Args:
        scores: confidence per labelled case.
        correct: whether its answer is right.
    """
    ordered, right = np.sort(np.asarray(scores, dtype=float)), np.asarray(correct, dtype=float)
    wrong = round(float((1 - right).sum()))
    return float(ordered[wrong]) if wrong < len(ordered) else float("inf")


def predicted_accuracy(scores: ArrayLike, threshold: float) -> float:
    """Return the share of scores that reach the threshold: the estimated accuracy (Garg et al. 2022, equation 2)."""
    return float((np.asarray(scores, dtype=float) >= threshold).mean())


def difference_of_confidence(performance: float, reference: ArrayLike, window: ArrayLike) -> float:
    """Return a performance less what confidence has fallen by (DoC, Guillory et al. 2021), within 0 and 1.

    Args:
        performance: mean over the labelled studies of the reference.
        reference: confidence of those studies.
        window: confidence of the window's studies.
    """
    fallen = np.asarray(reference, dtype=float).mean() - np.asarray(window, dtype=float).mean()
    return float(np.clip(performance - fallen, 0, 1))
