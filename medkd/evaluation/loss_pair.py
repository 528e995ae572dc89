"""Per-case results of a student and of its teacher, side by side: what both answer, and with which probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data_contracts import Calibration, CaseResults, CaseUnits
from medkd.evaluation.paired_loss import Rows
from medkd.inference.apply_calibration import scaled, softmax

#: A segmentation answers a case right from this Dice on.
RIGHT_DICE = 0.5
#: What the one that lacks a value gets where the other has one: two empty masks are a right answer, a map of zeros tells of no lesion.
_LACKING = {"dice": 1.0, "relevance_mass_accuracy": 0.0, "agreement": 0.0}


@dataclass(frozen=True)
class Answers:
    """What both networks made of the cases of one test, as far as a right answer is known.

    Attributes:
        units: the cases of the test.
        rows: which of them, [case].
        teacher: probability of the true class, or Dice; [case].
        student: the same.
        right: whether teacher and student answer right, [case] each.
        missing: cases for which neither network has a value.
        classes: true where the answer is a class.
    """

    units: CaseUnits
    rows: NDArray[np.int64]
    teacher: Rows
    student: Rows
    right: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    missing: int
    classes: bool


@dataclass(frozen=True)
class LossPair:
    """A student and its teacher with their per-case results and what calibrates their probabilities, where anything does."""

    teacher: CaseResults
    student: CaseResults
    calibrations: tuple[Calibration, ...] = ()

    @property
    def kind(self) -> Literal["classification", "segmentation"]:
        """Return what the networks do: classifiers leave a probability of each case."""
        return "classification" if any(name.endswith("/probability") for name in self.student.values) else "segmentation"

    def refusal(self, test: str) -> str:
        """Return why a test cannot be paired; nothing where it can."""
        digests = [results.cohorts.get(test) for results in (self.teacher, self.student)]
        if None in digests:
            return f"there are no results on the test {str(test)!r}"
        return "" if digests[0] == digests[1] else f"teacher and student were tested on other cases of {str(test)!r}"

    def values(self, name: str, *, step: int = 1) -> tuple[NDArray[np.int64], Rows, Rows, int] | None:
        """Return the rows of the cases that either has a value of, both values, and how many rows neither has; None where there is none."""
        if name not in self.teacher.values or name not in self.student.values or self.refusal(name.partition("/")[0]):
            return None
        both = [np.array([np.nan if one is None else one for one in results.values[name]]) for results in (self.teacher, self.student)]
        size = min(len(values) for values in both)
        known = np.flatnonzero(~np.isnan(both[0][:size]) | ~np.isnan(both[1][:size]))
        lacking = next((value for key, value in _LACKING.items() if name.partition("/")[2].startswith(key)), 0.0)
        teacher, student = (np.nan_to_num(values[known], nan=lacking) for values in both)
        return known * step, teacher, student, size - len(known)

    def probabilities(self, values: Rows, weights_digest: str) -> Rows:
        """Return probabilities of the second class as the version states them: by its temperature, where it has one."""
        own = next((one for one in self.calibrations if one.weights_digest == weights_digest), None)
        if own is None or own.method != "temperature":
            return values
        logit = np.log(np.clip(values, 1e-12, 1)) - np.log(np.clip(1 - values, 1e-12, 1))
        return softmax(scaled(np.stack([np.zeros_like(logit), logit], axis=1), own.scales, own.biases))[:, 1]

    def stated(self, test: str) -> tuple[NDArray[np.int64], Rows, Rows, NDArray[np.int64]] | str:
        """Return rows, both stated probabilities of the second class, and labels of a classifier's cases; or why there are none."""
        if self.kind == "segmentation":
            return "per-case results of a segmentation hold no probabilities"
        refusal = self.refusal(test)
        if refusal:
            return refusal
        labels = self.student.units[test].labels
        if max((label for label in labels if label is not None), default=0) > 1:
            return "per-case results hold the probability of the second class alone, and there are more than two classes"
        found = self.values(f"{test}/probability")
        if found is None:
            return f"there are no probabilities on the test {str(test)!r}"
        rows, teacher, student, _ = found
        kept = np.array([labels[row] is not None for row in rows], dtype=bool)
        if not kept.any():
            return "no case has a label"
        known = np.array([labels[row] for row in rows[kept]], dtype=np.int64)
        stated = (
            self.probabilities(own[kept], results.weights_digest) for own, results in ((teacher, self.teacher), (student, self.student))
        )
        return rows[kept], next(stated), next(stated), known

    def answers(self, test: str) -> Answers | str:
        """Return what both answer on a test, or why that cannot be said."""
        if self.kind == "segmentation":
            found = self._dice(test)
            if found is None:
                return self.refusal(test) or f"there is no Dice on the test {str(test)!r}"
            rows, teacher, student, missing = found
            right = (teacher >= RIGHT_DICE, student >= RIGHT_DICE)
            return Answers(self.student.units[test], rows, teacher, student, right, missing, classes=False)
        stated = self.stated(test)
        if isinstance(stated, str):
            return stated
        rows, teacher, student, labels = stated
        right = ((teacher > 0.5) == (labels == 1), (student > 0.5) == (labels == 1))
        truths = (np.where(labels == 1, own, 1 - own) for own in (teacher, student))
        units = self.student.units[test]
        return Answers(units, rows, next(truths), next(truths), right, len(units.labels) - len(rows), classes=True)

    def _dice(self, test: str) -> tuple[NDArray[np.int64], Rows, Rows, int] | None:
        names = (f"{test}/dice", f"{test}/dice_{test}")
        return next((found for name in names if (found := self.values(name)) is not None), None)
