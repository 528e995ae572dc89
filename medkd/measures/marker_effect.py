"""Causal effect of a planted marker on the answer, read off counterfactual pairs."""

from __future__ import annotations

from torch import Tensor

KIND, LEVEL = "counterfactual", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "total effect of an intervention, Pearl 2001; pairs rendered with and without the marker"
EMPTY = "always defined"


def marker_effect(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return |p(with marker) - p(without marker)| per pair, [n]: 0 for an answer that does not look at the marker.

    Args:
        prediction: probability of class 1 with the marker, [n].
        reference: probability of class 1 of the same image without it.
        spacing_mm: not used.
    """
    del spacing_mm
    return (prediction.double() - reference.double()).abs()
