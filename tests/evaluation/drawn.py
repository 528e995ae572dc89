"""Samples drawn from probabilities that are known."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from medkd.evaluation.choose_calibration import Samples


def samples(make=lambda logits: logits, *, patients=120, each=3, classes=2, seed=0):
    """Return samples whose labels are drawn from the softmax of logits, and that show what ``make`` makes of these."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (patients * each, classes))
    labels = np.array([random.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return Samples(make(logits), labels, np.repeat(np.arange(patients), each), tuple(f"p{one}" for one in range(patients)))
