"""Expected calibration error of a binary probability."""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "classification", "cohort"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "Naeini et al. 2015; confidence of the predicted class, 15 equal bins (Guo et al. 2017, 1706.04599)"
EMPTY = "NaN for no case"


def expected_calibration_error(
    prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None, bins: int = 15
) -> Tensor:
    """Return the mean gap between confidence and accuracy over confidence bins, weighted by how many cases fall in each.

    Args:
        prediction: probability of class 1, [n].
        reference: labels [n] in {0, 1}.
        spacing_mm: not used.
        bins: equal bins of [0, 1]; a bin holds its upper edge.
    """
    del spacing_mm
    if len(prediction) == 0:
        return torch.tensor(float("nan"))
    place, gap = gaps_of(prediction, reference, bins)
    return torch.zeros(bins, dtype=torch.double).index_add_(0, place, gap).abs().sum() / len(prediction)


def gaps_of(prediction: Tensor, reference: Tensor, bins: int = 15) -> tuple[Tensor, Tensor]:
    """Return of each case its confidence's bin [n] and how far being right (0 or 1) lies above the confidence [n]."""
    answer = (prediction > 0.5).long()
    return gaps_of_confidence(torch.where(answer == 1, prediction, 1 - prediction).double(), answer == reference, bins)


def gaps_of_confidence(confidence: Tensor, right: Tensor, bins: int = 15) -> tuple[Tensor, Tensor]:
    """Return the same of the probability of a predicted class, one of any number, and of whether it is right; [n] each."""
    place = (torch.ceil(confidence * bins) - 1).clamp(0, bins - 1).long()
    return place, right.double() - confidence
