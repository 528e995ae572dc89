"""The review page: one self-contained HTML file, a pure function of the report and its arrays."""

from __future__ import annotations

from markupsafe import Markup

from data_contracts import DataError, ReviewReport
from medkd.review.form import empty_form
from medkd.review.page_context import choices_of, page_context, ruler_note
from medkd.review.page_data import page_data
from medkd.review.shown import PriorStudy, StudyArrays
from medkd.review.templating import embed, policy, source, template

MOST_BYTES = 8 * 2**20
PANES = ("plain", "prior", "student", "teacher", "difference")
#: What a page is styled by and moved by, each in an element of its own, in this order.
STYLES = ("report.css", "viewer.css", "form.css")
SCRIPTS = ("pictures.js", "viewer.js", "controls.js", "form.js", "report.js")
#: What a server has to give of them.
PARTS = (*STYLES, *SCRIPTS)


def render_html(report: ReviewReport, arrays: StudyArrays, prior: PriorStudy | None = None) -> str:
    """Return the page of a report; the same report and arrays give the same bytes.

    The page asks nothing of a network: its content-security policy allows its own styles and scripts (by their
    sha256) and pictures inside the file. Overlays are locked until the reader has recorded an own read.

    Args:
        report: what is shown.
        arrays: the study's, and those of the report's explanations.
        prior: the earlier study that the report compares with; it is shown beside the current one.

    Raises:
        DataError: ``PAGE_TOO_LARGE`` when the file would exceed 8 MiB even by the least quality.
    """
    data = page_data(report, arrays, prior, MOST_BYTES)
    styles, scripts = ([source(name) for name in names] for names in (STYLES, SCRIPTS))
    page = template("report.html").render(
        **page_context(report, list(arrays.masks())),
        form=empty_form(report),
        served=None,
        policy=policy(styles, scripts),
        styles=list(map(Markup, styles)),
        scripts=list(map(Markup, scripts)),
        data=Markup(embed(data.payload)),
        views=list(data.payload["views"]),
        windows=data.windows,
        reduced=data.reduced,
        ruler_note=ruler_note(report.volume),
        choices=choices_of(report),
        panes=[role for role in PANES if role in shown_roles(report, prior)],
    )
    if len(page.encode()) > MOST_BYTES:
        raise DataError(
            "PAGE_TOO_LARGE",
            f"expected a page of at most {MOST_BYTES} bytes, got {len(page.encode())} at the least quality; explain fewer findings, or a part of the study",
        )
    return page


def shown_roles(report: ReviewReport, prior: PriorStudy | None = None) -> set[str]:
    """Return the panes of a report: without a teacher there is neither its pane nor a difference."""
    teacher = any(one.teacher is not None for one in report.explanations)
    return {"plain", "student"} | ({"teacher", "difference"} if teacher else set()) | (set() if prior is None else {"prior"})
