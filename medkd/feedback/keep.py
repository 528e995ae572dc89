"""What a reader says of a report, checked against the report and the log before it is kept: own reads, then judgements, then corrections."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from data_contracts import Feedback, FeedbackEntry, FeedbackError, FeedbackForm, OwnRead, OwnReadAnswer, ReviewReport, VoxelMask
from medkd.feedback._lookup import Lookup
from medkd.feedback.log import FeedbackLog
from medkd.feedback.scan import require_no_identifiers

#: What may differ where the same form is sent twice: it was clicked twice, some time apart.
_TIMES = ("seconds_on_page", "seconds_with_overlay")
#: Answers to the own read whatever a model answers; the classes of a classifier come to these.
_ANSWERS = ("present", "absent", "unsure")
_VERSION = re.compile(r"[0-9A-Za-z.+_-]{0,80}")


@dataclass(frozen=True)
class Reviewer:
    """Who judges.

    Attributes:
        key: pseudonym of the reader's account.
        role: what the account says, such as ``radiologist``.
        round: of reading.
    """

    key: str
    role: str
    round: int = 1


def findings_of(report: ReviewReport) -> tuple[str, ...]:
    """Return the names of the findings of a report that each need a verdict: lesions, answers, and what only the teacher marks."""
    found: list[str] = []
    for one in report.explanations:
        found += [lesion.tracking_id for lesion in one.lesions]
        found += [f"answer-{answer.number}" for answer in one.answers]
        found += [lesion.tracking_id for lesion in one.teacher_only]
    return tuple(dict.fromkeys(found))


def mapped_findings_of(report: ReviewReport) -> tuple[str, ...]:
    """Return the names of the findings that have a map, whose explanation can be judged."""
    found: list[str] = []
    for one in report.explanations:
        explained = set(one.explained)
        found += [lesion.tracking_id for lesion in one.lesions if lesion.number in explained]
        found += [f"answer-{answer.number}" for answer in one.answers if answer.number in explained]
    return tuple(dict.fromkeys(found))


def answers_of(report: ReviewReport) -> tuple[str, ...]:
    """Return what may be answered in the own read before a report is shown."""
    classes = [name for one in report.explanations for answer in one.answers for name in (*answer.probabilities, answer.class_name)]
    return tuple(dict.fromkeys((*_ANSWERS, *classes)))


def keep_own_read(
    log: FeedbackLog, report: ReviewReport, read: OwnReadAnswer, reviewer: Reviewer, *, language: str = "en"
) -> FeedbackEntry:
    """Keep what a reader answered before anything of a model was shown: once for each reader, report and round.

    Args:
        log: that keeps it.
        report: that is shown afterwards.
        read: the answer.
        reviewer: who answered.
        language: of the page, ``en`` or ``zh``.

    Raises:
        FeedbackError: ``OWN_READ_LOCKED`` where there is one, ``OWN_READ_ANSWER`` for an answer that the page does not offer, or as
            :meth:`FeedbackLog.append`.
    """
    _require_answer(report, read)
    record = OwnRead.model_validate(
        {
            "report": report.digest(),
            "study_key": report.volume.study_key,
            "reviewer_key": reviewer.key,
            "round": reviewer.round,
            "read": read,
            "language": language,
        }
    )

    def locked(known: Lookup) -> None:
        if (reviewer.key, record.report, reviewer.round) in known.own_reads:
            raise FeedbackError(
                "OWN_READ_LOCKED",
                f"expected one own read of report {record.report[:12]} by {reviewer.key} in round {reviewer.round}, there is one already and it stands",
            )

    return log.append(record, instead=locked)


def keep_form(log: FeedbackLog, report: ReviewReport, form: FeedbackForm, reviewer: Reviewer, *, offline: bool = False) -> FeedbackEntry:
    """Keep a filled-in form as the reader's judgement, and return its entry; the entry of the same form where it was kept before.

    Args:
        log: that keeps it.
        report: that the form is about.
        form: as the page sent or saved it.
        reviewer: whose it is.
        offline: the form comes from a page without a server: its own read is kept first where the reader has none of this report yet.

    Raises:
        FeedbackError: ``FEEDBACK_REPORT`` or ``FEEDBACK_STUDY`` where the form is about another one, ``FEEDBACK_VERDICTS`` where a finding has no
            verdict or there is no such finding, ``FEEDBACK_NO_MAP`` where an explanation is judged that the report does not hold,
            ``FEEDBACK_MASK`` for a mask on another grid, ``IDENTIFIER_IN_TEXT`` naming the field, ``OWN_READ_MISSING`` or ``OWN_READ_LOCKED``
            (another answer than was locked), ``FEEDBACK_FORM_TAKEN`` (its id is another judgement's), ``FEEDBACK_GIVEN`` (the reader judged
            the report in this round, and the form does not supersede that), ``FEEDBACK_SUPERSEDES`` (what it supersedes is not
            the reader's latest of the study), or as :meth:`FeedbackLog.append`.
    """
    check_form(report, form)
    known = log.of_form(form.form)
    if known is not None and isinstance(known.record, Feedback) and known.record.reviewer_key != reviewer.key:
        raise _taken(known, form.form)
    if known is None and offline and log.own_read(reviewer.key, form.report, reviewer.round) is None:
        # Before anything is written: an own read without its judgement would lock what the reader can then not send.
        _require_acceptable(log, form, reviewer)
        keep_own_read(log, report, form.own_read, reviewer, language=form.language)
    own = log.own_read(reviewer.key, form.report, reviewer.round)
    if own is None or not isinstance(own.record, OwnRead):
        raise FeedbackError(
            "OWN_READ_MISSING",
            f"expected an own read of report {form.report[:12]} by {reviewer.key} in round {reviewer.round}, there is none",
        )
    if own.record.read.answer != form.own_read.answer:
        raise FeedbackError(
            "OWN_READ_LOCKED",
            f"expected the own read that was locked, {own.record.read.answer!r}, got {form.own_read.answer!r}: the first one stands",
        )
    record = feedback_of(form, reviewer, own.digest())
    if known is not None:
        _require_same(known, record)
        return known
    return log.append(record, instead=partial(_stands_for, log, record))


def feedback_of(form: FeedbackForm, reviewer: Reviewer, own_read: str) -> Feedback:
    """Return the record of a form: the same whether it was sent to a server or imported from a file.

    Args:
        form: as the page made it.
        reviewer: whose it is.
        own_read: digest of the entry of the reader's own read.
    """
    said = form.model_dump(exclude={"own_read", "schema_version"})
    return Feedback.model_validate(
        {**said, "reviewer_key": reviewer.key, "reviewer_role": reviewer.role, "round": reviewer.round, "own_read": own_read}
    )


def check_form(report: ReviewReport, form: FeedbackForm) -> None:
    """Refuse a form that is not about a report, is incomplete, or holds what identifies somebody.

    Raises:
        FeedbackError: as :func:`keep_form`, as far as the log is not asked.
    """
    if form.report != report.digest():
        raise FeedbackError("FEEDBACK_REPORT", f"expected a form about report {report.digest()[:12]}, got one about {form.report[:12]}")
    if form.study_key != report.volume.study_key:
        raise FeedbackError("FEEDBACK_STUDY", f"expected the study {report.volume.study_key} of the report, got {form.study_key}")
    _require_answer(report, form.own_read)
    findings, judged = findings_of(report), {verdict.finding for verdict in form.verdicts}
    missing, unknown = [name for name in findings if name not in judged], sorted(judged - set(findings))
    if missing or unknown:
        what = f"none on {_listed(missing)}" if missing else f"one on {_listed(unknown)}, which the report does not hold"
        raise FeedbackError("FEEDBACK_VERDICTS", f"expected a verdict on each of the {len(findings)} findings of the report, got {what}")
    mapped = set(mapped_findings_of(report))
    without = [
        verdict.finding for verdict in form.verdicts if verdict.finding not in mapped and verdict.explanation in ("accepted", "rejected")
    ]
    if without:
        raise FeedbackError(
            "FEEDBACK_NO_MAP", f"expected explanation not_judged where there is no map, got a verdict on that of {_listed(without)}"
        )
    masks = [(f"verdicts.{verdict.finding}", mask.voxels) for verdict in form.verdicts for mask in verdict.masks]
    for field, mask in (*masks, *(("missed", mask) for mask in form.missed)):
        _require_grid(report, field, mask)
    require_no_identifiers("comment", form.comment)
    if not _VERSION.fullmatch(form.page_version):
        raise FeedbackError(
            "FEEDBACK_VERSION", f"expected a version of medkd in page_version, got {len(form.page_version)} characters of text"
        )


def _require_answer(report: ReviewReport, read: OwnReadAnswer) -> None:
    offered = answers_of(report)
    if read.answer not in offered:
        # Not repeated: whoever sends what no page offers may send anything.
        raise FeedbackError(
            "OWN_READ_ANSWER", f"expected own_read to be one of {', '.join(offered)}, got {len(read.answer)} other characters"
        )


def _require_grid(report: ReviewReport, field: str, mask: VoxelMask) -> None:
    shape = report.volume.geometry.shape
    if mask.shape != shape:
        raise FeedbackError("FEEDBACK_MASK", f"expected a mask of {shape} voxels, the study's, in {field}, got {mask.shape}")


def _require_acceptable(log: FeedbackLog, form: FeedbackForm, reviewer: Reviewer) -> None:
    """Refuse, before its own read is written, a form that would be refused after it."""
    if form.supersedes is not None:
        _require_own_latest(log.entry(form.supersedes), form.supersedes, reviewer, form.study_key)


def _stands_for(log: FeedbackLog, record: Feedback, known: Lookup) -> str | None:
    """Return the entry that a form already has; asked while nobody else can write."""
    before = known.forms.get(record.form)
    if before is not None:
        entry = log.entry(before)
        if entry is not None:
            _require_same(entry, record)
        return before
    reader = (record.reviewer_key, record.report, record.round)
    standing = known.standing(*reader)
    if record.supersedes is None and standing is not None:
        raise FeedbackError(
            "FEEDBACK_GIVEN",
            f"expected supersedes to name the entry {standing} that {record.reviewer_key} gave on report {record.report[:12]} in round "
            f"{record.round}, got none: nothing is edited, a correction supersedes",
        )
    if record.supersedes is not None:
        if record.supersedes in known.superseded:
            raise FeedbackError(
                "FEEDBACK_SUPERSEDES", f"expected the latest entry of the study to be superseded, {record.supersedes[:12]} is not"
            )
        earlier = log.entry(record.supersedes)
        _require_own_latest(earlier, record.supersedes, Reviewer(record.reviewer_key, record.reviewer_role, record.round), record.study_key)
    return None


def _require_own_latest(earlier: FeedbackEntry | None, digest: str, reviewer: Reviewer, study: str) -> None:
    said = None if earlier is None else earlier.record
    if not isinstance(said, Feedback) or (said.reviewer_key, said.study_key) != (reviewer.key, study):
        raise FeedbackError(
            "FEEDBACK_SUPERSEDES", f"expected supersedes to name an earlier judgement of the study by {reviewer.key}, {digest[:12]} is none"
        )


def _require_same(entry: FeedbackEntry, record: Feedback) -> None:
    def said(one: Feedback) -> dict[str, object]:
        return one.model_dump(exclude=set(_TIMES))

    if not isinstance(entry.record, Feedback) or said(entry.record) != said(record):
        raise _taken(entry, record.form)


def _taken(entry: FeedbackEntry, form: str) -> FeedbackError:
    return FeedbackError(
        "FEEDBACK_FORM_TAKEN",
        f"expected form {form} as it was kept in entry {entry.index}, got another judgement under its id; open the page anew to correct it",
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
