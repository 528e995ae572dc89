"""The review page as a server gives it: the same template, its parts by address; what the models found is not in it before the own read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from data_contracts import ReviewReport
from medkd.review.ask_form import AskForm
from medkd.review.form import FormContext
from medkd.review.orientation_marks import views_of
from medkd.review.page_context import choices_of, page_context, ruler_note
from medkd.review.page_data import PageData
from medkd.review.render_html import PANES, SCRIPTS, STYLES, shown_roles
from medkd.review.templating import embed, template

#: What is left out of a page before the own read, and what stands for it.
_HIDDEN: dict[str, Any] = {
    **{
        name: []
        for name in (
            "lesions",
            "answers",
            "labels",
            "tests",
            "caveats",
            "teacher_only",
            "outlines",
            "similar",
            "changes",
            "diagrams",
            "stability",
        )
    },
    "panes": ["plain"],
    "maps": None,
    "summary": None,
}


@dataclass(frozen=True)
class PlainSlice:
    """A slice as it is shown without scripts: where it is, and those beside it."""

    plane: str
    index: int
    count: int
    width: int
    height: int

    @property
    def previous(self) -> int | None:
        """Return the slice before it."""
        return self.index - 1 if self.index else None

    @property
    def following(self) -> int | None:
        """Return the slice after it."""
        return self.index + 1 if self.index + 1 < self.count else None


@dataclass(frozen=True)
class ServedPage:
    """What a server knows of a page beside report and arrays.

    Attributes:
        base: address of the study.
        language: that the page begins in.
        opened: when it was made, signed.
        answer: the own read that was locked; empty before.
        slices: that are shown without scripts.
        ask: what the reader may ask of a place; None before the own read.
        styles: names of its styles, in order.
        scripts: names of its scripts, in order.
    """

    base: str
    language: str
    opened: str
    answer: str
    slices: Sequence[PlainSlice]
    ask: AskForm | None = None
    styles: tuple[str, ...] = (*STYLES, "served.css")
    scripts: tuple[str, ...] = (SCRIPTS[0], "served.js", *SCRIPTS[1:], "ask.js")


def plain_slices(report: ReviewReport, plane: str, index: int | None, width: int = 512) -> list[PlainSlice]:
    """Return the middle slice of every plane; of the plane that is named, the slice that is asked for.

    Args:
        report: of the study.
        plane: that is named; empty for none.
        index: of its slice; None for the middle.
        width: of the pictures.
    """
    found, shape = [], report.volume.geometry.shape
    for view in views_of(report.volume.geometry):
        count = shape[view.axis]
        asked = index if index is not None and view.name == plane else count // 2
        down, right = view.spacing or (1.0, 1.0)
        height = round(width * shape[view.down] * down / (shape[view.right] * right))
        found.append(PlainSlice(view.name, min(max(asked, 0), count - 1), count, width, max(height, 1)))
    return found


def render_served(report: ReviewReport, data: PageData, outlines: list[str], form: FormContext, served: ServedPage) -> str:
    """Return a page of a server.

    Args:
        report: what is shown.
        data: what its scripts are given.
        outlines: names of the masks that are drawn.
        form: the sign-off.
        served: what the server knows beside.
    """
    context = {
        **page_context(report, outlines),
        "data": Markup(embed(data.payload)),
        "views": list(data.payload["views"]),
        "windows": data.windows,
        "reduced": data.reduced,
        "ruler_note": ruler_note(report.volume),
        "choices": choices_of(report),
        "panes": [role for role in PANES if role in shown_roles(report)],
    }
    if not served.answer:
        context |= _HIDDEN
    return template("report.html").render(**context, form=form, styles=(), scripts=(), policy="", served=served)
