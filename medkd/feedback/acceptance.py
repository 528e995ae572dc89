"""Whether a judgement accepts a report and all that is measured in it: what a verified structured report, and a page that says so, rest on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from data_contracts import ControlCase, Feedback, FeedbackEntry, FeedbackError, ReviewReport, StudyExplanation


def status_of(report: ReviewReport, entries: Iterable[FeedbackEntry]) -> Literal["UNVERIFIED", "VERIFIED"]:
    """Return whether a judgement stands that accepts a report and every finding of its models: what a page may show beside it."""
    kept = list(entries)
    for entry in kept:
        if isinstance(entry.record, Feedback) and entry.record.report == report.digest():
            try:
                accepting(report, kept, entry.digest())
                for one in report.explanations:
                    require_agreement(entry, one)
            except FeedbackError:
                continue
            return "VERIFIED"
    return "UNVERIFIED"


def accepting(report: ReviewReport, entries: Iterable[FeedbackEntry], digest: str) -> FeedbackEntry:
    """Return the entry of a digest, which accepts a report, was not superseded and is about nothing that was wrong on purpose.

    Raises:
        FeedbackError: ``SR_NOT_ACCEPTED`` with what stands against it, ``SR_OF_ANOTHER`` where it is of another report.
    """
    kept = list(entries)
    entry = next((one for one in kept if one.digest() == digest), None)
    if entry is None or not isinstance(entry.record, Feedback):
        raise FeedbackError("SR_NOT_ACCEPTED", f"expected the digest of a judgement in the feedback log, {digest[:12]} is none")
    said = entry.record
    if said.report != report.digest():
        raise FeedbackError(
            "SR_OF_ANOTHER", f"expected a judgement of report {report.digest()[:12]}, entry {entry.index} is of {said.report[:12]}"
        )
    later = next((one for one in kept if isinstance(one.record, Feedback) and one.record.supersedes == digest), None)
    control = any(isinstance(one.record, ControlCase) and one.record.report == said.report for one in kept)
    against = (
        f"it was superseded by entry {later.index}" if later is not None
        else "its report was wrong on purpose" if control
        else f"it says {said.decision!r}" if said.decision != "accept"
        else "the reader marks what was missed" if said.missed
        else None
    )  # fmt: skip
    if against is not None:
        raise FeedbackError("SR_NOT_ACCEPTED", f"expected a judgement that accepts the report, entry {entry.index} does not: {against}")
    return entry


def require_agreement(entry: FeedbackEntry, explained: StudyExplanation) -> None:
    """Refuse where the reader does not agree with each finding that a structured report measures; what the teacher alone marks is not in it.

    Args:
        entry: of a judgement.
        explained: explanation that the structured report is of.

    Raises:
        FeedbackError: ``SR_NOT_ACCEPTED`` naming the first finding.
    """
    verdicts = {one.finding: one.prediction for one in getattr(entry.record, "verdicts", ())}
    measured = [one.tracking_id for one in explained.lesions] + [f"answer-{one.number}" for one in explained.answers]
    against = [name for name in measured if verdicts.get(name) != "agree"]
    if against:
        raise FeedbackError(
            "SR_NOT_ACCEPTED",
            f"expected agreement with each finding that is measured, entry {entry.index} says {verdicts.get(against[0], 'nothing')!r} of {against[0]}",
        )
