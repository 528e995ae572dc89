"""Figures of a detector as statistics of cases: FROC and average precision of the cases that a bootstrap draws, as often as it draws each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd.evaluation.bootstrap import Statistic
from medkd.measures.froc import OPERATING_POINTS

#: What an array of hits is called, after its criterion.
HITS = "_hits"
#: In an array of hits: a lesion that was not found, and a case that nobody has looked for lesions in. NaN is an empty place.
MISSED, UNKNOWN = -1.0, -2.0
#: False positives per image at which the sensitivity has a figure of its own.
RATES = {"sensitivity_at_quarter": 0.25, "sensitivity_at_1": 1.0, "sensitivity_at_4": 4.0}


@dataclass(frozen=True)
class Curve:
    """Hits and false positives at every threshold, from the highest score on, and how many lesions and images there are."""

    hits: NDArray[np.float64]
    false_positives: NDArray[np.float64]
    lesions: float
    images: float

    def sensitivity(self, rate: float) -> float:
        """Return the best sensitivity with at most ``rate`` false positives per image; NaN without a lesion."""
        if not self.lesions:
            return math.nan
        return float(self.hits[self.false_positives <= rate * self.images].max(initial=0.0)) / self.lesions

    def cpm(self) -> float:
        """Return the mean sensitivity over the operating points."""
        return float(np.mean([self.sensitivity(rate) for rate in OPERATING_POINTS]))

    def average_precision(self) -> float:
        """Return the area below precision over recall; NaN without a lesion."""
        if not self.lesions:
            return math.nan
        precision = self.hits / np.maximum(self.hits + self.false_positives, 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(self.hits, prepend=0) * best).sum()) / self.lesions


class _Scores:
    """The scores of all cases of one network, ranked once: a resample only counts how often each case was drawn."""

    def __init__(self, hits: NDArray[np.float64]) -> None:
        self.count = len(hits)
        self.known = hits[:, 0, 0] != UNKNOWN
        lesion_case, lesion_place = np.nonzero(~np.isnan(hits[:, 0]) & self.known[:, None])
        wrong_case, wrong_place = np.nonzero(~np.isnan(hits[:, 1]) & self.known[:, None])
        lesions, wrong = hits[lesion_case, 0, lesion_place], hits[wrong_case, 1, wrong_place]
        self.lesion_case, self.wrong_case = lesion_case, wrong_case
        found = lesions != MISSED
        self.hit_case = lesion_case[found]
        # Falling: the first place is the highest score.
        ranked, place = np.unique(-np.concatenate([lesions[found], wrong]), return_inverse=True)
        self.places, self.hit_place, self.wrong_place = len(ranked), place[: found.sum()], place[found.sum() :]

    def curve(self, rows: NDArray[np.int64]) -> Curve:
        """Return the curve of some cases, which may repeat."""
        drawn = np.bincount(rows, minlength=self.count).astype(np.float64)

        def counted(place: NDArray[np.intp], case: NDArray[np.intp]) -> NDArray[np.float64]:
            return np.cumsum(np.bincount(place, weights=drawn[case], minlength=self.places))

        hits, wrong = counted(self.hit_place, self.hit_case), counted(self.wrong_place, self.wrong_case)
        return Curve(hits, wrong, float(drawn[self.lesion_case].sum()), float(drawn[self.known].sum()))


def detection_statistics(quantity: str, values: NDArray[np.float64]) -> Mapping[str, Statistic]:
    """Return the statistics of an array of hits: FROC where centres count, average precision where boxes do.

    Args:
        quantity: ``centre_hits``, ``iou10_hits`` or ``iou50_hits``.
        values: [seeds, n, 2, places], the scores of lesions and of false positives (:mod:`medkd.evaluation.evaluate_detection`).
    """
    scores = [_Scores(of_seed) for of_seed in values]

    def statistic(figure: Callable[[Curve], float]) -> Statistic:
        return lambda rows, seed: figure(scores[seed].curve(rows))

    if quantity != f"centre{HITS}":
        return {f"ap_{quantity.removesuffix(HITS).removeprefix('iou')}": statistic(Curve.average_precision)}
    rated: dict[str, Statistic] = {name: _at(scores, rate) for name, rate in RATES.items()}
    return {"cpm": statistic(Curve.cpm), **rated}


def _at(scores: list[_Scores], rate: float) -> Statistic:
    return lambda rows, seed: scores[seed].curve(rows).sensitivity(rate)
