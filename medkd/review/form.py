"""What the sign-off of a page asks: the findings by their names, and what was answered before where an answer is corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from data_contracts import ClassAnswer, LesionFinding, ReviewReport
from data_contracts.feedback import LIKERT_ITEMS, MOST_COMMENT, Feedback, Reason
from medkd import __version__
from medkd.review.shown import shown_in
from medkd.review.texts import Said, say

REASONS: tuple[str, ...] = get_args(Reason)


@dataclass(frozen=True)
class FormFinding:
    """A finding that a reader is asked about.

    Attributes:
        name: as the contract calls it: ``lesion-1``, ``answer-1``, ``teacher-1``.
        label: as the page calls it.
        has_map: whether there is an explanation to judge.
        key_slice: that shows it best.
        place: among the findings that have maps; None of those that have none.
        prediction: what was answered before, empty where nothing was.
        explanation: likewise.
        reasons: likewise.
    """

    name: str
    label: Said
    has_map: bool
    key_slice: int
    place: int | None = None
    prediction: str = ""
    explanation: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class FormContext:
    """Everything that the template of the form is filled with.

    Attributes:
        findings: that are asked about.
        action: where it is sent; empty in a file of its own, whose form is saved.
        form_id: of the form; empty where the browser draws it.
        csrf: token of the session.
        hidden: further fields of a form that is sent without scripts, name and value.
        supersedes: digest of the entry that an answer corrects.
        signed: when that was signed, in UTC.
        seconds: that the own read took.
        decision: what was answered before, empty where nothing was.
        rated: likewise, points by item.
        comment: likewise.
    """

    findings: tuple[FormFinding, ...]
    action: str = ""
    form_id: str = ""
    csrf: str = ""
    hidden: Sequence[tuple[str, str]] = ()
    supersedes: str = ""
    signed: str = ""
    seconds: float = 0.0
    decision: str = ""
    rated: dict[str, int] = field(default_factory=dict)
    comment: str = ""
    version: str = __version__
    reasons: tuple[str, ...] = REASONS
    likert: tuple[str, ...] = LIKERT_ITEMS
    most_comment: int = MOST_COMMENT


def form_findings(report: ReviewReport) -> tuple[FormFinding, ...]:
    """Return the findings of a report that are asked about: lesions, answers, what only the teacher marks; explained or not."""
    shown = {(one.place, one.label): place for place, one in enumerate(shown_in(report))}
    found = []
    for own, explanation in enumerate(report.explanations):
        noun = "lesion" if explanation.structures == "lesion" else "structure"
        asked: tuple[LesionFinding | ClassAnswer, ...] = (*explanation.lesions, *explanation.answers)
        for one in asked:
            kind, word = ("lesion", noun) if isinstance(one, LesionFinding) else ("answer", "answer")
            place = shown.get((own, f"{word} {one.number}"))
            found.append(
                FormFinding(f"{kind}-{one.number}", say(f"label.{word}", number=one.number), place is not None, one.key_slice, place)
            )
    missed = [lesion for explanation in report.explanations for lesion in explanation.teacher_only]
    found += [
        FormFinding(lesion.tracking_id, say("label.teacher", number=n), False, lesion.key_slice) for n, lesion in enumerate(missed, 1)
    ]
    return tuple({one.name: one for one in reversed(found)}[name] for name in dict.fromkeys(one.name for one in found))


def empty_form(report: ReviewReport) -> FormContext:
    """Return the form of a page that is a file of its own."""
    return FormContext(form_findings(report))


def answered(form: FormContext, said: Feedback, *, digest: str, at: str) -> FormContext:
    """Return a form filled with what its reader signed before, which sending it corrects. What was drawn is not drawn again.

    Args:
        form: without answers.
        said: the reader's judgement that stands.
        digest: of its entry.
        at: when it was written.
    """
    verdicts = {one.finding: one for one in said.verdicts}
    findings = tuple(
        one
        if (verdict := verdicts.get(one.name)) is None
        else replace(
            one,
            prediction=verdict.prediction,
            explanation="" if verdict.explanation == "corrected" else verdict.explanation,
            reasons=verdict.reasons,
        )
        for one in form.findings
    )
    rated: dict[str, int] = {str(item): points for item, points in said.likert.items()}
    return replace(
        form,
        findings=findings,
        decision=said.decision,
        rated=rated,
        comment=said.comment,
        supersedes=digest,
        signed=at.rstrip("Z").replace("T", " "),
    )
