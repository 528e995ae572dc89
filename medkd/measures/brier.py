"""Brier score of a binary probability."""

from __future__ import annotations

from torch import Tensor

KIND, LEVEL = "classification", "cohort"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "Brier 1950, the binary form"
EMPTY = "NaN for no case"


def brier(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the mean squared difference of probability and outcome, a 0-d float64 tensor.

    Args:
        prediction: probability of class 1, [n].
        reference: labels [n] in {0, 1}.
        spacing_mm: not used.
    """
    del spacing_mm
    return (prediction.double() - reference.double()).square().mean()
