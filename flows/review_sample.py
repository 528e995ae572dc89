"""A sample of the week's worklist for a second reading: drawn by chance, the same for everybody who asks in that week."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

from data_contracts import ReviewReport, Worklist, WorklistEntry, load_record
from flows.site import Site
from medkd.review.render_index import IndexRow, render_index
from medkd.storage.store import write_bytes


def draw_sample(worklist: Worklist, week_of: datetime, count: int) -> tuple[WorklistEntry, ...]:
    """Return some of the reported entries of the seven days before a moment, drawn with the ISO week as seed.

    Args:
        worklist: of a site.
        week_of: the moment.
        count: how many at most.
    """
    year, week, _ = week_of.isocalendar()
    since = week_of - timedelta(days=7)
    recent = [one for one in worklist.entries if one.outcome == "reported" and since <= one.at <= week_of]
    recent.sort(key=lambda one: (one.series_key, one.model))
    return tuple(random.Random(f"{year}-{week}").sample(recent, min(count, len(recent))))


def write_sample(site: Site, week_of: datetime, count: int) -> tuple[Path, int] | None:
    """Write the page of a week's sample, ``review/YYYY-Wnn/index.html``, and return it with its length; None where nothing was reported."""
    drawn = draw_sample(site.worklist(), week_of, count)
    if not drawn:
        return None
    year, week, _ = week_of.isocalendar()
    folder = site.root / "review" / f"{year}-W{week:02d}"
    rows = []
    for one in drawn:
        page = site.worklist_folder / str(one.page)
        rows.append(IndexRow(f"../../worklist/{one.page}", load_record(page.with_name("report.json"), ReviewReport)))
    return write_bytes(folder / "index.html", render_index(rows, ()).encode()), len(drawn)
