"""The chain of a feedback log: whether lines are as they were written, and which one is not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data_contracts import FeedbackEntry, FeedbackError, MedkdError, read_record

ALTERED = "FEEDBACK_LOG_ALTERED"
_MEND = "keep the log for whoever looks into it, and restore a copy"


@dataclass(frozen=True)
class Head:
    """How long a log was when it was last written to, and the digest of its last line then.

    Attributes:
        entries: number of lines.
        last: digest of the last, None of an empty log.
    """

    entries: int = 0
    last: str | None = None

    def to_json(self) -> bytes:
        """Return the bytes of the file."""
        return json.dumps({"entries": self.entries, "last": self.last}, sort_keys=True).encode()


def read_head(payload: bytes) -> Head:
    """Read a head.

    Raises:
        FeedbackError: ``FEEDBACK_LOG_ALTERED`` where it is none of ours.
    """
    try:
        head = Head(**json.loads(payload))
        if head.to_json() != payload or (head.last is None) != (head.entries == 0):
            raise ValueError("written otherwise")
    except (ValueError, TypeError, RecursionError) as error:
        raise altered("the head of the feedback log as it was written", "other bytes") from error
    return head


def altered(expected: str, got: str) -> FeedbackError:
    """Return the error that says what of a log is not as it was written."""
    return FeedbackError(ALTERED, f"expected {expected}, got {got}; {_MEND}")


def digest_of(line: bytes) -> str:
    """Return the digest of a line: that of its entry, whichever version of medkd reads it."""
    return hashlib.sha256(line).hexdigest()


def read_line(line: bytes, index: int, previous: str | None) -> FeedbackEntry:
    """Return the entry of a line that follows another one.

    Raises:
        FeedbackError: ``FEEDBACK_LOG_ALTERED`` naming the entry.
    """
    wrong = _form_of(line, index)
    if wrong is not None:
        raise wrong
    entry = read_record(line, FeedbackEntry)
    if entry.previous != previous:
        raise altered(f"entry {index} of the feedback log to follow {_short(previous)}", f"one that follows {_short(entry.previous)}")
    return entry


def first_altered(lines: Sequence[bytes], head: Head) -> FeedbackError | None:
    """Return the error that names the first line that is not as it was written, None where all are.

    A line's digest is stated by the line behind it, and the last one's by the head. Where the two differ, it is the statement that was altered if
    putting it right makes the line that holds it what the next one states, and else the line itself.
    """
    for index, line in enumerate(lines):
        wrong = _form_of(line, index)
        if wrong is not None:
            return wrong
    digests = [digest_of(line) for line in lines]
    for index in range(len(lines)):
        stated = _stated(lines, head, index)
        if stated is _NOTHING or stated == digests[index]:
            continue
        behind = index + 1
        if behind < len(lines) and digest_of(_with_previous(lines[behind], digests[index])) == _stated(lines, head, behind):
            return altered(f"entry {behind} of the feedback log to follow {_short(digests[index])}", f"one that follows {_short(stated)}")
        return altered(f"entry {index} of the feedback log with digest {_short(stated)}", _short(digests[index]))
    return _beside_head(digests, head)


def _beside_head(digests: Sequence[str], head: Head) -> FeedbackError | None:
    if len(digests) < head.entries:
        several = head.entries - len(digests) > 1
        missing = f"entries {len(digests)} to {head.entries - 1} are" if several else f"entry {len(digests)} is"
        return altered(f"{head.entries} entries in the feedback log", f"{len(digests)}: {missing} cut off")
    last = digests[head.entries - 1] if head.entries else None
    if last != head.last:
        return altered(f"entry {head.entries - 1} of the feedback log with digest {_short(head.last)}, which its head names", _short(last))
    return None


def _form_of(line: bytes, index: int) -> FeedbackError | None:
    """Return what is wrong with a line by itself."""
    place = f"entry {index} of the feedback log"
    try:
        data = json.loads(line)
        if _canonical(data) != line:
            return altered(f"{place} as canonical JSON", "other bytes")
        entry = read_record(line, FeedbackEntry)
    except (MedkdError, ValueError, RecursionError):  # what a line holds is not repeated: it may say anything
        return altered(f"{place} as a record {FeedbackEntry.SCHEMA}", f"{len(line)} bytes that are none")
    if entry.index != index:
        return altered(place, f"one that says it is entry {entry.index}")
    if (entry.previous is None) != (index == 0):
        return altered(f"{place} to follow {'another' if index else 'none'}", f"one that follows {_short(entry.previous)}")
    return None


class _Nothing:
    """That nothing states the digest of a line: the last one, written by a process that ended before it wrote the head."""


_NOTHING = _Nothing()


def _stated(lines: Sequence[bytes], head: Head, index: int) -> Any:
    if index + 1 < len(lines):
        return json.loads(lines[index + 1])["previous"]
    return head.last if index + 1 == head.entries else _NOTHING


def _with_previous(line: bytes, previous: str) -> bytes:
    return _canonical({**json.loads(line), "previous": previous})


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:16]
