"""The training cases that lie nearest to each finding, as a page says them: keys, labels, sizes and distances, and no picture of anybody."""

from __future__ import annotations

from dataclasses import dataclass

from data_contracts import ReviewReport, SimilarCase, SimilarCases, TaskKind
from medkd.review.page_words import label_of
from medkd.review.shown import Shown, shown_in
from medkd.review.texts import Said, Text, recognise, say


@dataclass(frozen=True)
class SimilarRow:
    """A training case in the table of a finding.

    Attributes:
        case_key: pseudonym of the case.
        whose: whether it is of this patient.
        label: class that it is labelled with, or class of what is outlined in it.
        size: of what is outlined; a dash of a case that is classified.
        distance: with two digits.
    """

    case_key: str
    whose: Said
    label: Text
    size: Text
    distance: str


@dataclass(frozen=True)
class SimilarBlock:
    """What is said of one finding.

    Attributes:
        label: what the finding is called.
        stands: how far its nearest case is among the distances of training cases.
        measure: what was compared.
        rows: its table, training cases of this patient first.
    """

    label: Said
    stands: Said
    measure: Said
    rows: tuple[SimilarRow, ...]


def similar_blocks(report: ReviewReport) -> list[SimilarBlock]:
    """Return what is said of each finding that was compared with training cases, in the order in which findings are shown."""
    found = {(one.explanation, one.number): one for one in report.similar}
    shown = [(one, found.get((one.place, one.finding.number))) for one in shown_in(report)]
    return [_block(one, similar) for one, similar in shown if similar is not None]


def _block(shown: Shown, similar: SimilarCases) -> SimilarBlock:
    segments = shown.explanation.kind is TaskKind.SEGMENTATION
    rows = [_row(case, own=True) for case in similar.same_patient] + [_row(case, own=False) for case in similar.cases]
    measure = say("similar.within" if segments else "similar.whole", layer=similar.layer)
    return SimilarBlock(label_of(shown), _stands(similar), measure, tuple(rows))


def _stands(similar: SimilarCases) -> Said:
    counted = {"count": similar.compared, "patients": similar.patients}
    if not similar.cases:
        return say("similar.nobody")
    if similar.nearer is None:
        return say("similar.few", distance=_distance(similar.cases[0]), **counted)
    return say("similar.stands", distance=_distance(similar.cases[0]), share=f"{100 * similar.nearer:.1f}", **counted)


def _row(case: SimilarCase, *, own: bool) -> SimilarRow:
    size: Text = "–" if case.voxels is None else say("similar.voxels", count=case.voxels)
    if case.volume_ml is not None:
        size = say("detail.ml", value=f"{case.volume_ml:.2f}")
    label = recognise(case.label) if case.label else say("similar.unlabelled")
    return SimilarRow(case.case_key, say("similar.own" if own else "similar.other"), label, size, _distance(case))


def _distance(case: SimilarCase) -> str:
    return f"{case.distance:.2f}"
