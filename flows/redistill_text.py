"""What a person reads of a student that was distilled again with feedback."""

from __future__ import annotations

from typing import Any

from data_contracts import AttentionFigures, Estimate, FeedbackDirectives, Redistillation
from flows.redistill import RedistillResult
from flows.tables import interval, table
from medkd.registry.recipe_result import RANKING

_STUDENTS = ("before", "control", "after")


def redistill_text(result: RedistillResult) -> str:
    """Return what was said, the figures of the three students, and what the gate says of each requirement."""
    outcome = result.outcome
    names = list(_figures(outcome, "after"))
    columns = {name: [interval(_figures(outcome, name).get(figure)) for figure in names] for name in _STUDENTS}
    findings = outcome.verdict.findings
    judged = {
        "measured": ["-" if one.measured is None else f"{one.measured:+.4f}" for one in findings],
        "bound": [f"{one.bound:+.4f}" for one in findings],
        "holds": ["yes" if one.holds else "no" for one in findings],
    }
    last = (
        f"registered as candidate: {result.candidate.uri}"
        if result.candidate is not None
        else "not registered: the student before stays, and the figures above say why"
    )
    return "\n\n".join(
        [
            _said(result.directives),
            table("share of attribution", names, columns),
            table("gate", [one.requirement for one in findings], judged),
            last,
        ]
    )


def redistill_summary(result: RedistillResult) -> dict[str, Any]:
    """Return the same as one object: figures, verdict, what was ignored, and the candidate's address or None."""
    said, outcome = result.directives, result.outcome
    return {
        "recipe": outcome.recipe,
        "arm": outcome.arm,
        "passed": outcome.verdict.passed,
        "candidate": None if result.candidate is None else result.candidate.uri,
        "directives": outcome.directives,
        "studies": {part: len(said.of_part(part)) for part in ("train", "eval")},
        "relabel": list(said.relabel),
        "ignored": dict(said.ignored),
        "findings": [one.model_dump() for one in outcome.verdict.findings],
        "students": {
            name: {key: None if value is None else value.model_dump() for key, value in _figures(outcome, name).items()}
            for name in _STUDENTS
        },
    }


def _said(directives: FeedbackDirectives) -> str:
    ignored = ", ".join(f"{reason} {count}" for reason, count in directives.ignored.items()) or "nothing"
    return (
        f"feedback: {directives.entries} entries; {len(directives.of_part('train'))} studies teach, {len(directives.of_part('eval'))} judge, "
        f"{len(directives.relabel)} wait for new labels; ignored: {ignored}"
    )


def _figures(outcome: Redistillation, name: str) -> dict[str, Estimate | None]:
    student = outcome.students[name]  # type: ignore[index]
    figure = next((known for known in RANKING if known in student.scorecard.figures), None)
    shown: dict[str, Estimate | None] = {} if figure is None else {figure: student.scorecard.figures[figure]}
    for part, attention in student.attention.items():
        shown |= _attention(part, attention)
    return shown


def _attention(part: str, attention: AttentionFigures) -> dict[str, Estimate | None]:
    return {f"inside ({part})": attention.inside, f"forbidden ({part})": attention.outside}
