"""The feedback log for others to read: entries as lines of JSON, judgements as a table, without comments unless they are asked for."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from data_contracts import LIKERT_ITEMS, ControlCase, Feedback, FeedbackEntry, FindingVerdict, OwnRead

_SAID = ("report", "study_key", "reviewer_key", "reviewer_role", "round", "decision")
_HOW = ("seconds_on_page", "seconds_with_overlay", "language", "page_version", "supersedes")
COLUMNS = (
    *(
        "index",
        "at",
        "digest",
        *_SAID,
        "own_read",
        "own_read_seconds",
        "finding",
        "prediction",
        "explanation",
        "reasons",
        "masks",
        "missed",
    ),
    *(*LIKERT_ITEMS, *_HOW, "superseded", "control"),
)
#: What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_lines(entries: Sequence[FeedbackEntry], *, comments: bool = False) -> Iterator[str]:
    """Yield each entry as a line of JSON with its digest; comments are left out unless they are asked for.

    Args:
        entries: of the log.
        comments: keep them. A digest is always that of the whole entry.
    """
    for entry in entries:
        data = entry.model_dump(mode="json")
        if not comments:
            data["record"].pop("comment", None)
        yield json.dumps({"digest": entry.digest(), **data}, sort_keys=True, ensure_ascii=False)


def as_csv(entries: Sequence[FeedbackEntry], *, comments: bool = False) -> str:
    """Return the judgements as a table, one row for each finding (one for a judgement without): :data:`COLUMNS`, and comments where asked for.

    Args:
        entries: of the log.
        comments: add a column of comments.
    """
    stream = io.StringIO()
    table = csv.DictWriter(stream, (*COLUMNS, *(("comment",) if comments else ())), extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for row in rows_of(entries):
        table.writerow({name: _cell(value) for name, value in row.items()})
    return stream.getvalue()


def rows_of(entries: Sequence[FeedbackEntry]) -> Iterator[dict[str, Any]]:
    """Yield a row of :data:`COLUMNS`, and the comment, for each finding of each judgement."""
    reads = {entry.digest(): entry.record for entry in entries if isinstance(entry.record, OwnRead)}
    controls = {(entry.record.report, entry.record.reviewer_key) for entry in entries if isinstance(entry.record, ControlCase)}
    superseded = {entry.record.supersedes for entry in entries if isinstance(entry.record, Feedback)}
    for entry in entries:
        said = entry.record
        if not isinstance(said, Feedback):
            continue
        read, digest = reads.get(said.own_read), entry.digest()
        row = {"index": entry.index, "at": entry.at, "digest": digest, "missed": len(said.missed), "comment": said.comment}
        row |= {name: getattr(said, name) for name in (*_SAID, *_HOW)} | {item: said.likert[item] for item in LIKERT_ITEMS}
        row |= {"own_read": read.read.answer, "own_read_seconds": read.read.seconds} if read is not None else {}
        row |= {"superseded": digest in superseded, "control": (said.report, said.reviewer_key) in controls}
        for verdict in said.verdicts or (None,):
            yield {**row, **_of_verdict(verdict)}


def _of_verdict(verdict: FindingVerdict | None) -> dict[str, Any]:
    if verdict is None:
        return {}
    found = {name: getattr(verdict, name) for name in ("finding", "prediction", "explanation")}
    return {**found, "reasons": " ".join(verdict.reasons), "masks": len(verdict.masks)}


def _cell(value: Any) -> Any:
    """Return a value that a spreadsheet shows and does not compute."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
