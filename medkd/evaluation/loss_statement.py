"""The stage that states what a student lost against its teacher."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from data_contracts import (
    AnswerChanges,
    Calibration,
    CaseResults,
    ChangedCase,
    DataError,
    Estimate,
    LossItem,
    LossStatement,
    Subset,
)
from medkd.evaluation.draw_loss_statement import draw_loss_statement
from medkd.evaluation.loss_axes import figures_of
from medkd.evaluation.loss_pair import RIGHT_DICE, Answers, LossPair
from medkd.evaluation.paired_loss import PairedFigure, paired_loss
from medkd.storage.stage import stage
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

#: Cases that a statement names on each side.
MOST_CASES = 20
#: A teacher that has hardly anything of a figure gives no share of it.
_LEAST_HAD = 0.01
RULE = (
    "A loss is sure where its lower bound, which holds with 95 % for all figures of this statement together (one-sided, Bonferroni), is above "
    "0. Sure losses come first; among them, and among the others, the largest severity: the lower bound of the loss's own 95 % interval as a "
    "share of what the teacher has (its figure; of an error, the distance of its figure from 1). All intervals are over patients, teacher and "
    "student paired."
)


@stage
def state_loss(
    workspace: Workspace, teacher: CaseResults, student: CaseResults, calibrations: tuple[Calibration, ...] = ()
) -> LossStatement:
    """State what a student lost, gained and kept of its teacher on the tests of their recipe, and draw it.

    Args:
        workspace: where the picture goes.
        teacher: per-case results.
        student: per-case results on the same tests.
        calibrations: of either network's probabilities, where there are any; a teacher's are usually stated as they are.

    Raises:
        DataError: ``LOSS_OF_ITSELF`` where both are one network.
    """
    if teacher.weights_digest == student.weights_digest:
        raise DataError("LOSS_OF_ITSELF", f"expected a student and its teacher, got {student.subject} twice")
    statement = compare_with_teacher(teacher, student, calibrations)
    if not statement.figures:
        return statement
    key = f"loss_statements/{student.subject}-{student.seed}-{student.weights_digest[:8]}.png"
    write_bytes(workspace.store.root / key, draw_loss_statement(statement))
    return statement.model_copy(update={"picture": workspace.store.refer(key)})


def compare_with_teacher(teacher: CaseResults, student: CaseResults, calibrations: tuple[Calibration, ...] = ()) -> LossStatement:
    """Return the statement without its picture; arguments as of :func:`state_loss`."""
    pair = LossPair(teacher, student, calibrations)
    figures, not_measured = figures_of(pair)
    items = [_item(figure, len(figures)) for figure in figures]
    answers = pair.answers(Subset.TEST)
    return LossStatement(
        subject=student.subject,
        seed=student.seed,
        weights_digest=student.weights_digest,
        teacher_digest=teacher.weights_digest,
        kind=pair.kind,
        losses=_ranked(item for item in items if item.loss.mean > 0),
        gains=_ranked(item for item in items if item.loss.mean < 0),
        unchanged=_ranked(item for item in items if item.loss.mean == 0),
        not_measured=tuple(not_measured),
        answers=_changes(answers) if isinstance(answers, Answers) else None,
        figures=len(figures),
        rule=RULE,
    )


def _item(figure: PairedFigure, figures: int) -> LossItem:
    found = paired_loss(figure, figures=figures)
    had = found.teacher if figure.higher_is_better else 1 - found.teacher
    # Of a gain the bound nearer to zero is the upper one; its size ranks gains among themselves.
    nearer, together = (found.low, found.simultaneous_low) if found.loss >= 0 else (-found.high, -found.simultaneous_high)
    return LossItem(
        axis=figure.axis,
        key=figure.key,
        what=figure.what,
        higher_is_better=figure.higher_is_better,
        teacher=found.teacher,
        student=found.student,
        loss=Estimate(mean=found.loss, low=found.low, high=found.high, n=figure.n, missing=figure.missing),
        simultaneous_low=found.simultaneous_low,
        simultaneous_high=found.simultaneous_high,
        severity=nearer / max(had, _LEAST_HAD),
        sure=together > 0,
        rank=1,
    )


def _ranked(items: Iterable[LossItem]) -> tuple[LossItem, ...]:
    ordered = sorted(items, key=lambda item: (not item.sure, -item.severity, item.key))
    return tuple(item.model_copy(update={"rank": place}) for place, item in enumerate(ordered, 1))


def _changes(answers: Answers) -> AnswerChanges:
    teacher, student = answers.right
    lost, gained = teacher & ~student, student & ~teacher
    right_is = "the class with a probability above one half" if answers.classes else f"a Dice of {RIGHT_DICE} or more"
    return AnswerChanges(
        right_is=right_is,
        both=int((teacher & student).sum()),
        neither=int((~teacher & ~student).sum()),
        lost=int(lost.sum()),
        lost_patients=_patients(answers, lost),
        gained=int(gained.sum()),
        gained_patients=_patients(answers, gained),
        worst_lost=_named(answers, lost, answers.teacher - answers.student),
        best_gained=_named(answers, gained, answers.student - answers.teacher),
    )


def _patients(answers: Answers, chosen: NDArray[np.bool_]) -> int:
    return len({answers.units.patient_keys[row] for row in answers.rows[chosen]})


def _named(answers: Answers, chosen: NDArray[np.bool_], change: NDArray[np.float64]) -> tuple[ChangedCase, ...]:
    """Return the chosen cases with the largest change, largest first."""
    places = np.flatnonzero(chosen)
    places = places[np.argsort(-change[places], kind="stable")][:MOST_CASES]
    units = answers.units
    return tuple(
        ChangedCase(
            case_key=units.case_keys[answers.rows[place]],
            patient_key=units.patient_keys[answers.rows[place]],
            teacher=float(answers.teacher[place]),
            student=float(answers.student[place]),
        )
        for place in places
    )
