"""The worklist of a reader: status from the log, priority from the report, filters, pages."""

from __future__ import annotations

from dataclasses import dataclass

from medkd.review_server.accounts import Account
from medkd.review_server.reading import Readings, Status
from medkd.review_server.studies import ServedStudy, StudyIndex

STATUSES: tuple[Status, ...] = ("unread", "own_read", "signed", "superseded")
PER_PAGE = 50
#: What is still to be done comes first.
_ORDER = {"own_read": 0, "superseded": 1, "unread": 2, "signed": 3}


@dataclass(frozen=True)
class Row:
    """A study as the worklist shows it: nothing of what a model found."""

    study: ServedStudy
    status: Status


@dataclass(frozen=True)
class Filters:
    """What is shown; empty shows all.

    Attributes:
        status: one of :data:`STATUSES`.
        modality: as reports say it.
        priority: 1 to 3.
        text: part of the key of study or series.
        page: from 1.
    """

    status: str = ""
    modality: str = ""
    priority: str = ""
    text: str = ""
    page: int = 1


@dataclass(frozen=True)
class Worklist:
    """A page of the worklist.

    Attributes:
        rows: of the page.
        count: of studies that fit the filters.
        unread: of these.
        page: which it is.
        pages: how many there are.
        modalities: of all studies.
    """

    rows: tuple[Row, ...]
    count: int
    unread: int
    page: int
    pages: int
    modalities: tuple[str, ...]


def worklist_of(account: Account, readings: Readings, index: StudyIndex, filters: Filters) -> Worklist:
    """Return a page of a reader's worklist: what was begun, then the rest by priority and uncertainty."""
    studies = index.all().values()
    rows = [Row(one, status) for one, status in zip(studies, readings.statuses(account, studies), strict=True)]
    rows = [row for row in rows if _fits(row, filters)]
    rows.sort(key=lambda row: (_ORDER[row.status], row.study.priority, -row.study.uncertainty, row.study.key))
    pages = max(1, -(-len(rows) // PER_PAGE))
    page = min(max(1, filters.page), pages)
    shown = tuple(rows[(page - 1) * PER_PAGE : page * PER_PAGE])
    modalities = tuple(sorted({one.report.volume.modality for one in studies}))
    return Worklist(shown, len(rows), sum(row.status == "unread" for row in rows), page, pages, modalities)


def _fits(row: Row, filters: Filters) -> bool:
    volume = row.study.report.volume
    return (
        filters.status in ("", row.status)
        and filters.modality in ("", volume.modality)
        and filters.priority in ("", str(row.study.priority))
        and (not filters.text or any(filters.text.lower() in key.lower() for key in (volume.study_key, volume.series_key)))
    )
