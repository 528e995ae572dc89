"""The index of a store's reports: one self-contained HTML file without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from data_contracts import ClassAnswer, LesionFinding, RefusedSeries, ReviewReport
from medkd.explanation.standing import standing_of
from medkd.review.caveats import teacher_class
from medkd.review.shown import shown_in
from medkd.review.templating import policy, source, template
from medkd.review.texts import Text, listed, say


@dataclass(frozen=True)
class IndexRow:
    """A page of the index: where it lies, relative to the index, and its report."""

    page: str
    report: ReviewReport


def render_index(rows: Sequence[IndexRow], refused: Sequence[RefusedSeries]) -> str:
    """Return the index: every page with its findings and what the teacher says of them, and every series that was refused.

    It is in both languages, chosen by style alone. Reasons of refusals are those that the command says, in English.
    """
    style = source("report.css")
    return template("index.html").render(
        policy=policy([style]),
        styles=[Markup(style)],
        rows=[(row.page, row.report.volume, len(shown_in(row.report)), agreement_of(row.report)) for row in rows],
        refused=refused,
        served=None,
    )


def agreement_of(report: ReviewReport) -> Text:
    """Return how far student and teacher agree on the findings of a report."""
    findings = [one.finding for one in shown_in(report)]
    standings = [standing_of(one) for one in findings if isinstance(one, LesionFinding)]
    answers = [teacher_class(one) == one.class_name for one in findings if isinstance(one, ClassAnswer)]
    if all(one.teacher is None for one in report.explanations):
        return say("agreement.no_teacher")
    missed = sum(len(one.teacher_only) for one in report.explanations)
    parts = [
        *([say("agreement.agrees", count=standings.count("agrees"))] if "agrees" in standings else []),
        *([say("agreement.student", count=standings.count("student only"))] if "student only" in standings else []),
        *([say("agreement.teacher", count=missed)] if missed else []),
        *([say("agreement.answers", count=sum(answers), all=len(answers))] if answers else []),
    ]
    return listed(parts, "list.more") or say("agreement.nothing")
