"""The figures that a loss statement looks at, from per-case results of teacher and student: one function an axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import CaseUnits, LossAxis, NotMeasured, Subset
from medkd.evaluation.loss_pair import Answers, LossPair
from medkd.evaluation.paired_loss import PairedFigure, Rows
from medkd.measures.expected_calibration_error import gaps_of

#: Fewer patients say too little to be named.
LEAST_PATIENTS = 5
#: A column with more values (an age, a date) is not one of subgroups.
MOST_VALUES = 12
#: Class maps agree from this cosine on; an answer is certain from this probability on.
SAME_REASON, CERTAIN = 0.5, 0.9
#: Bins of the expected calibration error.
_BINS = 15
Found = Iterator[PairedFigure | NotMeasured]


def figures_of(pair: LossPair) -> tuple[list[PairedFigure], list[NotMeasured]]:
    """Return what can be compared, and what cannot with the reason."""
    axes = (_cases, _small_lesions, _subgroups, _calibration, _shifted, _reasons, _certainty)
    found = [_or_too_few(one) for axis in axes for one in axis(pair)]
    return [one for one in found if isinstance(one, PairedFigure)], [one for one in found if isinstance(one, NotMeasured)]


def _or_too_few(one: PairedFigure | NotMeasured) -> PairedFigure | NotMeasured:
    if isinstance(one, NotMeasured) or one.n >= LEAST_PATIENTS:
        return one
    return NotMeasured(axis=one.axis, what=one.what, reason=f"{one.n} patients are fewer than {LEAST_PATIENTS}")


def _answered(axis: LossAxis, key: str, where: str, answers: Answers, chosen: NDArray[np.bool_] | None = None) -> PairedFigure:
    """Return the share of right answers, or the mean Dice, on some of the cases of a test (``chosen`` [row of the test])."""
    kept = np.ones(len(answers.rows), dtype=bool) if chosen is None else chosen[answers.rows]
    both = answers.right if answers.classes else (answers.teacher, answers.student)
    return PairedFigure(
        axis=axis,
        key=key,
        what=f"{'right answers' if answers.classes else 'Dice'}{where}",
        patients=_patients(answers.units, answers.rows[kept]),
        teacher=_column(both[0][kept]),
        student=_column(both[1][kept]),
        missing=answers.missing if chosen is None else 0,
        yes_or_no=answers.classes,
    )


def _patients(units: CaseUnits, rows: NDArray[np.int64]) -> Sequence[str]:
    return [units.patient_keys[row] for row in rows]


def _column(values: NDArray[np.generic]) -> Rows:
    return values.astype(np.float64)[:, None]


def _cases(pair: LossPair) -> Found:
    answers = pair.answers(Subset.TEST)
    if isinstance(answers, str):
        yield NotMeasured(axis=LossAxis.CASES, what="answers", reason=answers)
    else:
        yield _answered(LossAxis.CASES, "cases", "", answers)


def _small_lesions(pair: LossPair) -> Found:
    axis, answers = LossAxis.SMALL_LESIONS, pair.answers(Subset.TEST)
    if isinstance(answers, str):
        yield NotMeasured(axis=axis, what="small lesions", reason=answers)
        return
    sizes = np.array([size or 0 for size in answers.units.lesion_voxels])
    present = sizes[answers.rows][sizes[answers.rows] > 0]
    limit = int(np.quantile(present, 1 / 3, method="lower")) if len(present) else 0
    if not len(present) or limit == present.max():
        reason = "all lesions are of one size" if len(present) else "no lesion is marked"
        yield NotMeasured(axis=axis, what="small lesions", reason=reason)
        return
    where = f" on small lesions (the smallest third, {limit} voxels or fewer)"
    yield _answered(axis, "small_lesions", where, answers, (sizes > 0) & (sizes <= limit))


def _subgroups(pair: LossPair) -> Found:
    axis, answers = LossAxis.SUBGROUP, pair.answers(Subset.TEST)
    if isinstance(answers, str):
        yield NotMeasured(axis=axis, what="subgroups", reason=answers)
        return
    columns = dict(sorted(answers.units.attributes.items()))
    if not columns:
        yield NotMeasured(axis=axis, what="subgroups", reason="the cases have no subgroup columns")
    if pair.kind == "classification":
        columns["class"] = tuple("" if label is None else str(label) for label in answers.units.labels)
    for column, values in columns.items():
        distinct = sorted({values[row] for row in answers.rows})
        if not 2 <= len(distinct) <= MOST_VALUES:
            reason = f"{len(distinct)} values, more than {MOST_VALUES}" if len(distinct) > 1 else "all cases have one value"
            yield NotMeasured(axis=axis, what=f"subgroups of {column}", reason=reason)
            continue
        for value in distinct:
            chosen = np.array([one == value for one in values])
            where = f" where {column} is {value}" if value else f" where {column} is not stated"
            yield _answered(axis, f"subgroup/{column}={value}", where, answers, chosen)


def _calibration(pair: LossPair) -> Found:
    axis, what, stated = LossAxis.CALIBRATION, "expected calibration error", pair.stated(Subset.TEST)
    if isinstance(stated, str):
        yield NotMeasured(axis=axis, what=what, reason=stated)
        return
    rows, teacher, student, labels = stated
    patients = _patients(pair.student.units[Subset.TEST], rows)
    gaps = (_gaps(own, labels) for own in (teacher, student))
    yield PairedFigure(axis, "calibration", what, patients, next(gaps), next(gaps), higher_is_better=False)


def _gaps(probability: Rows, labels: NDArray[np.int64]) -> Rows:
    """Return how far being right lies above the confidence, in the column of the confidence's bin; [case, bin]."""
    place, gap = gaps_of(torch.from_numpy(probability), torch.from_numpy(labels), _BINS)
    found: Rows = np.zeros((len(labels), _BINS))
    found[np.arange(len(labels)), place.numpy()] = gap.numpy()
    return found


def _shifted(pair: LossPair) -> Found:
    axis, present = LossAxis.SHIFTED_DATA, 0
    for test in (Subset.DEBIASED, Subset.REVERSED, Subset.UNCUED, Subset.MISPLACED):
        if test not in pair.student.units:
            continue
        present += 1
        answers = pair.answers(test)
        if isinstance(answers, str):
            yield NotMeasured(axis=axis, what=f"the test {test.value!r}", reason=answers)
        else:
            yield _answered(axis, f"shifted_data/{test.value}", f" on the test {test.value!r}", answers)
    pairs = pair.values("marker_pairs/marker_effect", step=2)
    if pairs is not None:
        rows, teacher, student, missing = pairs
        what, patients = "change of the probability by a marker", _patients(pair.student.units[Subset.MARKER_PAIRS], rows)
        figure = PairedFigure(axis, "shifted_data/marker", what, patients, _column(teacher), _column(student), missing, False)
        yield figure
    elif not present:
        yield NotMeasured(axis=axis, what="shifted data", reason="the recipe has no test on other data than it trains on")


def _reasons(pair: LossPair) -> Found:
    """Yield whether class maps agree, and how much of them lies in the lesion; both on the test that maps are judged on."""
    axis, what = LossAxis.AGREEMENT_OF_REASONS, f"class maps that agree with the teacher's (cosine of {SAME_REASON} or more)"
    test = next((one for one in (Subset.DEBIASED, Subset.TEST) if f"{one.value}/agreement" in pair.student.values), Subset.TEST)
    found = pair.values(f"{test.value}/agreement")
    if found is None:
        yield NotMeasured(axis=axis, what=what, reason=pair.refusal(test) or "class maps were not compared")
        return
    rows, teacher, student, missing = found
    patients = _patients(pair.student.units[test], rows)
    both = (_column(own >= SAME_REASON) for own in (teacher, student))
    yield PairedFigure(axis, "agreement_of_reasons/maps", what, patients, next(both), next(both), missing, yes_or_no=True)
    found = pair.values(f"{test.value}/relevance_mass_accuracy")
    if found is None or not len(found[0]):
        yield NotMeasured(axis=axis, what="share of the class map in the lesion", reason="no lesion is marked")
        return
    rows, teacher, student, missing = found
    patients, what = _patients(pair.student.units[test], rows), "share of the class map in the lesion"
    yield PairedFigure(axis, "agreement_of_reasons/lesion", what, patients, _column(teacher), _column(student), missing)


def _certainty(pair: LossPair) -> Found:
    axis, stated = LossAxis.CERTAINTY, pair.stated(Subset.TEST)
    if isinstance(stated, str):
        yield NotMeasured(axis=axis, what="certain answers", reason=stated)
        return
    rows, teacher, student, labels = stated
    patients = _patients(pair.student.units[Subset.TEST], rows)
    truths = [np.where(labels == 1, own, 1 - own) for own in (teacher, student)]
    right, wrong = ([_column(own >= CERTAIN) for own in truths], [_column(1 - own >= CERTAIN) for own in truths])
    known_as = f"(probability of {CERTAIN} or more)"
    yield PairedFigure(
        axis, "certainty/right", f"certain right answers {known_as}", patients, teacher=right[0], student=right[1], yes_or_no=True
    )
    yield PairedFigure(
        axis,
        "certainty/wrong",
        f"certain wrong answers {known_as}",
        patients,
        teacher=wrong[0],
        student=wrong[1],
        higher_is_better=False,
        yes_or_no=True,
    )
