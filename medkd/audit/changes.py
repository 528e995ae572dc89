"""How answers changed under an artefact, case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd.audit.answers import Answers
from medkd.evaluation.bootstrap import Statistic, auc_of, mean_of
from medkd.measures.dice import dice

Values = NDArray[np.float64]
#: A segmentation whose Dice with the earlier one is lower is another answer.
SAME_ANSWER = 0.8


@dataclass(frozen=True)
class PutToTest:
    """One artefact in some cases.

    Attributes:
        name: of the artefact.
        kind: what sort of artefact it is.
        rows: of the folder's cases.
        before: answers about these cases as they are.
        after: with the artefact (or without the marks that were there).
        control: with the control's change instead.
        energy: of the control's change, a multiple of the artefact's, mean over cases.
        places: bool [*space] that the mark covers in each case; empty where there are none.
    """

    name: str
    kind: Literal["mark", "acquisition", "removal"]
    rows: tuple[int, ...]
    before: Answers
    after: Answers
    control: Answers
    energy: float
    places: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Truth:
    """What is known of the cases of a test.

    Attributes:
        patients: patient of each.
        labels: class index of each, -1 where unknown.
        reference: label map of each; None where there is none.
        classes: of the task.
    """

    patients: list[str]
    labels: NDArray[np.int64]
    reference: tuple[Tensor | None, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    """What changed in n cases; every array is float64 [n], NaN where undefined.

    Attributes:
        effect: signed change: of the probability of ``toward``, or of Dice.
        magnitude: size of the change, whichever way: total variation, or 1 less the Dice of both answers.
        control: the same under the control.
        flips: 1 where the answer is another one.
        toward: class that the effect is about; empty of a segmentation.
        directions: number of directions that the largest effect was chosen from.
        volume: relative change of the volume of a segmentation.
        figures: AUC or Dice before and after.
        correlated: 1 where the case is of the class ``toward``.
    """

    effect: Values
    magnitude: Values
    control: Values
    flips: Values
    toward: str = ""
    directions: int = 1
    volume: Values | None = None
    figures: tuple[Statistic, Statistic] | None = None
    correlated: Values = field(default_factory=lambda: np.zeros(0))


def changes_of(test: PutToTest, truth: Truth) -> Changes:
    """Return what changed in each case of a test: probabilities of a classifier, label maps of a segmenter."""
    return _classified(test, truth) if test.before.probability.shape[1] else _segmented(test, truth)


def _classified(test: PutToTest, truth: Truth) -> Changes:
    before, after = test.before.probability, test.after.probability
    change = after - before
    classes = range(1, 2) if before.shape[1] == 2 else range(before.shape[1])
    toward = max(classes, key=lambda index: abs(float(change[:, index].mean())))
    known = truth.labels >= 0
    figures = None
    if known.all() and len(set(truth.labels.tolist())) > 1:
        figures = (_auc(before, truth.labels), _auc(after, truth.labels))
    # With two classes a change towards one is a change away from the other: it is told of the one that gains.
    if len(classes) == 1 and float(change[:, 1].mean()) < 0:
        toward = 0
    return Changes(
        effect=change[:, toward],
        magnitude=np.abs(change).sum(1) / 2,
        control=np.abs(test.control.probability - before).sum(1) / 2,
        flips=(after.argmax(1) != before.argmax(1)).astype(float),
        toward=truth.classes[toward],
        directions=2 * len(classes),
        figures=figures,
        correlated=np.where(known, (truth.labels == toward).astype(float), np.nan),
    )


def _auc(probability: Values, labels: NDArray[np.int64]) -> Statistic:
    """Return the AUC of the second of two classes, or the mean of each class against the others."""
    chosen = [1] if probability.shape[1] == 2 else sorted(set(labels.tolist()))
    parts = [auc_of(probability[None, :, index], (labels == index).astype(np.int64)) for index in chosen]
    return lambda rows, seed: float(np.mean([part(rows, seed) for part in parts]))


def _segmented(test: PutToTest, truth: Truth) -> Changes:
    before, after, control = test.before.labels, test.after.labels, test.control.labels
    same, other = _agreement(before, after), _agreement(before, control)
    own = [np.array([_overlap(a, r) for a, r in zip(one, truth.reference, strict=True)]) for one in (before, after)]
    sizes = [np.array([float((answer > 0).sum()) for answer in one]) for one in (before, after)]
    volume = np.divide(sizes[1] - sizes[0], sizes[0], out=np.full(len(before), np.nan), where=sizes[0] > 0)
    return Changes(
        effect=own[1] - own[0],
        magnitude=1 - same,
        control=1 - other,
        flips=(same < SAME_ANSWER).astype(float),
        directions=2,
        volume=volume,
        figures=(mean_of(own[0][None]), mean_of(own[1][None])),
    )


def _agreement(first: Sequence[Tensor], second: Sequence[Tensor]) -> Values:
    """Return the Dice of two answers; two empty ones agree."""
    return np.array([1.0 if not (a.any() or b.any()) else _mean_dice(a, b) for a, b in zip(first, second, strict=True)])


def _overlap(answer: Tensor, reference: Tensor | None) -> float:
    return math.nan if reference is None else _mean_dice(answer, reference)


def _mean_dice(answer: Tensor, reference: Tensor) -> float:
    """Return the mean Dice of the foreground classes that either holds; NaN where neither holds any."""
    present = sorted(({*answer.unique().tolist()} | {*reference.unique().tolist()}) - {0})
    values = [float(dice((answer == index)[None].to(torch.uint8), (reference == index)[None].to(torch.uint8))[0]) for index in present]
    values = [value for value in values if not math.isnan(value)]
    return float(np.mean(values)) if values else math.nan
