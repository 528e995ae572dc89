"""Forms that pages without a server saved, taken into the log: each by itself, and none twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from data_contracts import (
    ContractError,
    CorrectedMask,
    Feedback,
    FeedbackError,
    FeedbackForm,
    MedkdError,
    ReviewReport,
    SourceError,
    load_record,
    read_record,
)
from medkd.feedback.keep import Reviewer, keep_form
from medkd.feedback.log import LINES, FeedbackLog
from medkd.feedback.seg_masks import with_masks

REPORT = "report.json"
#: Bytes of the largest form that is read: masks of 200,000 runs are 3 MB.
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class RefusedForm:
    """A file that was not taken in.

    Attributes:
        file: its name.
        code: of the refusal.
        reason: in one sentence.
    """

    file: str
    code: str
    reason: str


@dataclass(frozen=True)
class ImportedForms:
    """What became of files.

    Attributes:
        kept: name and digest of the entry of each that was taken in now.
        known: the same of each that was there before.
        refused: the others.
    """

    kept: tuple[tuple[str, str], ...]
    known: tuple[tuple[str, str], ...]
    refused: tuple[RefusedForm, ...]


def open_log(folder: Path) -> FeedbackLog:
    """Return the log of a folder.

    Raises:
        SourceError: ``FEEDBACK_LOG_MISSING`` where there is none: nothing is made by who only looks.
    """
    if not (folder / LINES).is_file():
        raise SourceError("FEEDBACK_LOG_MISSING", f"expected a feedback log, {LINES}, in {folder}, there is none")
    return FeedbackLog(folder)


def forms_in(place: Path) -> tuple[Path, ...]:
    """Return a file, or the JSON files of a folder in the order of their names.

    Raises:
        SourceError: ``SOURCE_MISSING`` where there is none.
    """
    found = tuple(sorted(place.glob("*.json"))) if place.is_dir() else (place,) if place.is_file() else ()
    if not found:
        raise SourceError("SOURCE_MISSING", f"expected a saved form, or a folder with JSON files, at {place}, there is none")
    return found


def reports_in(folder: Path) -> dict[str, ReviewReport]:
    """Return the reports below a folder, by their digests; a file is a report of its own.

    Raises:
        SourceError: ``SOURCE_MISSING`` where there is none; ContractError: as ``load_record``.
    """
    paths = [folder] if folder.is_file() else sorted(folder.rglob(REPORT))
    if not paths:
        raise SourceError("SOURCE_MISSING", f"expected reports, {REPORT}, at or below {folder}, there are none")
    reports = [load_record(path, ReviewReport) for path in paths]
    return {report.digest(): report for report in reports}


def import_forms(
    log: FeedbackLog,
    files: Sequence[Path],
    reports: Mapping[str, ReviewReport],
    reviewer: Reviewer,
    *,
    correct: bool = False,
    masks: Mapping[str, tuple[CorrectedMask, ...]] | None = None,
) -> ImportedForms:
    """Take saved forms of one reader into the log, each by itself: what is refused stops none of the others.

    A form becomes the record that a server would have kept, but for its time; one that is there already is not written again.

    Args:
        log: to take them into.
        files: saved forms.
        reports: that they may be about, by digest.
        reviewer: who filled them in.
        correct: a form about a report that the reader judged already supersedes that judgement; else it is refused.
        masks: drawn in a viewer, added to the form of the only file.

    Raises:
        FeedbackError: ``FEEDBACK_LOG_ALTERED``, ``FEEDBACK_LOG_BUSY``; OutputError: ``OUT_UNWRITABLE``.
    """
    kept: list[tuple[str, str]] = []
    known: list[tuple[str, str]] = []
    refused: list[RefusedForm] = []
    for path in files:
        before = len(log)  # an altered log is nothing that one file could be blamed for
        try:
            form = _completed(log, read_form(path), reviewer, correct)
            report = reports.get(form.report)
            if report is None:
                raise FeedbackError(
                    "FEEDBACK_REPORT", f"expected a form about one of the {len(reports)} reports given, got one about {form.report[:12]}"
                )
            entry = keep_form(log, report, with_masks(form, dict(masks)) if masks else form, reviewer, offline=True)
        except MedkdError as error:
            if error.code in ("FEEDBACK_LOG_ALTERED", "FEEDBACK_LOG_BUSY", "OUT_UNWRITABLE"):
                raise
            refused.append(RefusedForm(path.name, error.code, error.message))
            continue
        (known if entry.index < before else kept).append((path.name, entry.digest()))
    return ImportedForms(tuple(kept), tuple(known), tuple(refused))


def read_form(path: Path) -> FeedbackForm:
    """Read a saved form. What does not fit is named by its field and not repeated: it may be a comment.

    Raises:
        FeedbackError: ``FORM_TOO_LARGE`` or ``FORM_INVALID``; ContractError: as ``read_record`` for what is no form at all.
    """
    if path.stat().st_size > MOST_BYTES:
        raise FeedbackError("FORM_TOO_LARGE", f"expected a form of at most {MOST_BYTES} bytes, {path.name} has {path.stat().st_size}")
    try:
        return read_record(path.read_bytes(), FeedbackForm)
    except ContractError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        problem = error.__cause__.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the form"
        raise FeedbackError("FORM_INVALID", f"expected a valid {FeedbackForm.SCHEMA}, {where} does not fit ({problem['type']})") from None


def _completed(log: FeedbackLog, form: FeedbackForm, reviewer: Reviewer, correct: bool) -> FeedbackForm:
    """Return a form with what it supersedes: a page without a server cannot know the digest of an entry."""
    known = log.of_form(form.form)
    if form.supersedes is not None:
        return form
    if known is not None and isinstance(known.record, Feedback):
        return form.model_copy(update={"supersedes": known.record.supersedes})
    standing = log.judgement(reviewer.key, form.report, reviewer.round) if correct else None
    return form if standing is None else form.model_copy(update={"supersedes": standing.digest()})
