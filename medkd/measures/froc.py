"""FROC score: mean sensitivity for lesions at fixed numbers of false positives per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd.measures._components import components

KIND, LEVEL = "detection", "cohort"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "Bunch et al. 1978; operating points of LUNA16 (Setio et al. 2017), hit rule of CAMELYON16"
EMPTY = "NaN when no image holds a lesion"
#: False positives per image at which sensitivity is read.
OPERATING_POINTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
LOWEST = 0.1


@dataclass(frozen=True)
class Detections:
    """What a network found in one image: the best score of each lesion (minus infinity where missed), and every false positive's."""

    lesions: NDArray[np.float64]
    false_positives: NDArray[np.float64]


def froc(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None, lowest: float = LOWEST) -> Tensor:
    """Return the mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per image, a 0-d tensor.

    Candidates are the connected components of probabilities above ``lowest``, scored by their peak. A candidate hits the lesion its
    peak lies in; further hits of one lesion are neither rewarded nor punished; a peak outside any lesion is a false positive.
    Sensitivity at t is the best that is reached with at most t false positives per image (a staircase, never interpolated).

    Args:
        prediction: probability of the class, [n, *space].
        reference: mask of the same shape.
        spacing_mm: not used.
        lowest: probabilities up to this are no candidates.
    """
    del spacing_mm
    return torch.tensor(froc_score([detect(p, r, lowest=lowest) for p, r in zip(prediction, reference, strict=True)]), dtype=torch.double)


def detect(probability: Tensor, reference: Tensor, *, lowest: float = LOWEST) -> Detections:
    """Return the scored candidates of one image [*space] against its reference mask."""
    values = probability.double().cpu().numpy()
    wanted, n_wanted = components(reference.cpu().numpy() > 0)
    found, n_found = components(values > lowest)
    lesions, false_positives = np.full(n_wanted, -np.inf), []
    for index in range(1, n_found + 1):
        place = np.unravel_index(int(np.where(found == index, values, -1.0).argmax()), values.shape)
        score, hit = float(values[place]), int(wanted[place])
        if hit:
            lesions[hit - 1] = max(lesions[hit - 1], score)
        else:
            false_positives.append(score)
    return Detections(lesions, np.array(false_positives))


def froc_score(images: Sequence[Detections]) -> float:
    """Return the mean sensitivity at the operating points; NaN when no image holds a lesion."""
    rates, sensitivities = froc_curve(images)
    if np.isnan(sensitivities).any():
        return float("nan")
    reached = [sensitivities[rates <= point].max(initial=0.0) for point in OPERATING_POINTS]
    return float(np.mean(reached))


def froc_curve(images: Sequence[Detections]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false positives per image and sensitivity as the threshold falls, beginning at (0, 0)."""
    lesions = np.concatenate([image.lesions for image in images]) if images else np.zeros(0)
    wrong = np.sort(np.concatenate([image.false_positives for image in images])) if images else np.zeros(0)
    if not len(lesions):
        return np.zeros(1), np.full(1, np.nan)
    right = np.sort(lesions[np.isfinite(lesions)])
    thresholds = np.unique(np.concatenate([right, wrong]))[::-1]
    rates = (len(wrong) - np.searchsorted(wrong, thresholds)) / len(images)
    sensitivities = (len(right) - np.searchsorted(right, thresholds)) / len(lesions)
    return np.concatenate([[0.0], rates]), np.concatenate([[0.0], sensitivities])
