"""Spearman's rank correlation of two maps of the same target."""

from __future__ import annotations

from torch import Tensor

from medkd.measures._rank import average_ranks, correlation

KIND, LEVEL = "agreement", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (-1.0, 1.0), ""
SOURCE = "Spearman 1904; for maps Adebayo et al. 2018 (1810.03292)"
EMPTY = "NaN when one map is constant"


def rank_agreement(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the rank correlation of the student's and the teacher's map, ties averaged, per case, [n].

    Args:
        prediction: the student's map [n, *space].
        reference: the teacher's map of the same target.
        spacing_mm: not used.
    """
    del spacing_mm
    return correlation(average_ranks(prediction.flatten(1)), average_ranks(reference.flatten(1)))
