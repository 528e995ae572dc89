"""How far confidence and accuracy lie apart: expected calibration error with an interval over patients, and the bins of a diagram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import Estimate, ReliabilityBin
from medkd.evaluation.bootstrap import bootstrap_figure
from medkd.evaluation.choose_calibration import Samples
from medkd.evaluation.fit_calibration import by_class
from medkd.inference.apply_calibration import softmax
from medkd.measures.expected_calibration_error import gaps_of_confidence

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """The expected calibration error of some samples, its interval over patients, and the bins it is made of."""

    ece: Estimate
    bins: tuple[ReliabilityBin, ...]


def reliability_of(logits: NDArray[np.float64], samples: Samples) -> Reliability:
    """Return the reliability of the predicted class, by patients.

    Args:
        logits: as they are judged, [sample, class] of ``samples``.
        samples: their labels and patients.
    """
    probability = softmax(by_class(logits), axis=0)
    confidence, right = probability.max(0), probability.argmax(0) == samples.labels
    place, gap = (part.numpy() for part in gaps_of_confidence(torch.from_numpy(confidence), torch.from_numpy(right), BINS))
    shape = (len(samples.names), BINS)
    cell = samples.patient * BINS + place
    gaps = np.bincount(cell, weights=gap, minlength=shape[0] * BINS).reshape(shape)
    count = np.bincount(samples.patient, minlength=shape[0])

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        """Return the error over the samples of drawn patients; a sum per patient and bin is enough for it."""
        del seed  # of one network
        return float(np.abs(gaps[rows].sum(0)).sum() / count[rows].sum())

    held = np.bincount(place, minlength=BINS)
    means = [np.bincount(place, weights=values, minlength=BINS) / np.maximum(held, 1) for values in (confidence, right)]
    bins = tuple(
        ReliabilityBin(confidence=float(min(1.0, mean)), accuracy=float(share), count=int(number))
        for mean, share, number in zip(*means, held, strict=True)
        if number
    )
    return Reliability(bootstrap_figure(statistic, samples.names), bins)
