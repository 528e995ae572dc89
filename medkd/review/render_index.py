"""The index of a store's reports: one self-contained HTML file without a script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from data_contracts import BANNER, ClassAnswer, LesionFinding, RefusedSeries, ReviewReport
from medkd.explanation.standing import standing_of
from medkd.review.caveats import teacher_class
from medkd.review.shown import shown_in


@dataclass(frozen=True)
class IndexRow:
    """A page of the index: where it lies, relative to the index, and its report."""

    page: str
    report: ReviewReport


def render_index(rows: Sequence[IndexRow], refused: Sequence[RefusedSeries]) -> str:
    """Return the index: every page with its findings and what the teacher says of them, and every series that was refused."""
    sources = files("medkd.review") / "templates"
    style = (sources / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        (sources / "index.html").read_text(encoding="utf-8")
    )
    return template.render(
        banner=BANNER,
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        rows=[(row.page, row.report.volume, len(shown_in(row.report)), agreement_text(row.report)) for row in rows],
        refused=refused,
    )


def agreement_text(report: ReviewReport) -> str:
    """Return in words how far student and teacher agree on the findings of a report."""
    findings = [one.finding for one in shown_in(report)]
    standings = [standing_of(one) for one in findings if isinstance(one, LesionFinding)]
    answers = [teacher_class(one) == one.class_name for one in findings if isinstance(one, ClassAnswer)]
    if all(one.teacher is None for one in report.explanations):
        return "no teacher to compare with"
    missed = sum(len(one.teacher_only) for one in report.explanations)
    parts = [
        f"teacher agrees on {standings.count('agrees')}" if "agrees" in standings else "",
        f"only the student: {standings.count('student only')}" if "student only" in standings else "",
        f"only the teacher: {missed}" if missed else "",
        f"teacher gives {sum(answers)} of {len(answers)} answers too" if answers else "",
    ]
    return "; ".join(part for part in parts if part) or "nothing to compare"
