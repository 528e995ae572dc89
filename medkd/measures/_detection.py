"""FROC and average precision from what was found in each image: counted over images, so that a bootstrap may draw them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medkd.measures.froc import Detections, froc_curve


def sensitivity_at(images: Sequence[Detections], rate: float) -> float:
    """Return the best sensitivity with at most ``rate`` false positives per image; NaN when no image holds a lesion."""
    rates, sensitivities = froc_curve(images)
    return float("nan") if np.isnan(sensitivities).any() else float(sensitivities[rates <= rate].max(initial=0.0))


def average_precision(images: Sequence[Detections]) -> float:
    """Return the area below precision over recall, every point's precision the best at that recall or more (PASCAL VOC 2010, without sampling).

    NaN when no image holds a lesion, 0 when nothing was found.
    """
    lesions: NDArray[np.float64] = np.concatenate([image.lesions for image in images]) if images else np.zeros(0)
    if not len(lesions):
        return float("nan")
    right = lesions[np.isfinite(lesions)]
    wrong = np.concatenate([image.false_positives for image in images])
    thresholds = np.unique(np.concatenate([right, wrong]))[::-1]
    if not len(thresholds):
        return 0.0
    hits = len(right) - np.searchsorted(np.sort(right), thresholds)
    misses = len(wrong) - np.searchsorted(np.sort(wrong), thresholds)
    best = np.maximum.accumulate((hits / (hits + misses))[::-1])[::-1]
    return float((np.diff(hits, prepend=0) / len(lesions) * best).sum())
