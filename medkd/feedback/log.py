"""The feedback log: one line a judgement, appended and never edited, each with the digest of the one before.

``feedback.jsonl`` holds the lines, ``feedback.head`` how many there are and the digest of the last. A line that was changed, put in or taken out
breaks the chain; lines cut off at the end are missed by the head. What this does not hold against is someone who may write both files and
makes a log of their own, or puts back an earlier copy of both: note the digest of the last entry elsewhere (``medkd feedback verify`` says it, MLflow's
mirror holds it) and compare.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from data_contracts import ControlCase, Feedback, FeedbackEntry, FeedbackError, OutputError, OwnRead, ScaleAnswers
from data_contracts.private import open_private
from medkd.feedback._chain import Head, altered, digest_of, first_altered, read_head, read_line
from medkd.feedback._lookup import Lookup
from medkd.feedback._writing import alone, sync_folder, write_whole
from medkd.storage.store import write_bytes

LINES, HEAD, LOCK = "feedback.jsonl", "feedback.head", "feedback.lock"
#: So many entries are kept as they were read.
_RECENT = 16
LoggedRecord = OwnRead | Feedback | ScaleAnswers | ControlCase


class FeedbackLog:
    """A folder's feedback log, for several processes and threads at once; what others append is seen at the next question.

    Args:
        folder: of the log; it is made when something is first written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mutex = threading.RLock()
        #: How far the log was once read, which :meth:`_forget` keeps: an earlier copy that was put back meanwhile is noticed.
        self._reached = Head()
        self._forget()

    def _forget(self) -> None:
        #: Digest of each verified line, and where it begins; the last number is where the next one will.
        self._digests: list[str] = []
        self._starts: list[int] = [0]
        self._lookup = Lookup()
        self._recent: dict[int, FeedbackEntry] = {}
        self._file: int | None = None

    def __len__(self) -> int:
        """Return the number of entries."""
        with self._mutex:
            self._refresh()
            return len(self._digests)

    @property
    def last(self) -> str | None:
        """Return the digest of the last entry, None of an empty log."""
        with self._mutex:
            self._refresh()
            return self._digests[-1] if self._digests else None

    def append(self, record: LoggedRecord, *, instead: Callable[[Lookup], str | None] | None = None) -> FeedbackEntry:
        """Write a record and return its entry once it is on the disk: what was returned is not lost by a kill or a power failure.

        Args:
            record: what was said.
            instead: asked while nobody else can write, of all that is in the log: it returns the digest of an entry that stands for the record
                already, which is returned then and nothing is written, or None; or it raises what forbids the record.

        Raises:
            FeedbackError: ``FEEDBACK_LOG_ALTERED``, or ``FEEDBACK_LOG_BUSY`` when others write all the while.
            OutputError: ``OUT_UNWRITABLE`` when it cannot be written; the log is as it was.
        """
        with self._mutex, alone(self.folder / LOCK):
            self._refresh()
            known = None if instead is None else instead(self._lookup)
            if known is not None:
                return self._at(self._lookup.places[known])
            self._mend_end()
            previous = self._digests[-1] if self._digests else None
            entry = FeedbackEntry(
                index=len(self._digests), at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), previous=previous, record=record
            )
            self._write(entry.canonical_json() + b"\n")
            self._refresh()
            self._write_head()
            return entry

    def entries(self) -> tuple[FeedbackEntry, ...]:
        """Return all entries, every byte read and verified anew.

        Raises:
            FeedbackError: ``FEEDBACK_LOG_ALTERED`` naming the first entry that is not as it was written.
        """
        with self._mutex:
            self._forget()
            self._refresh()
            return tuple(self._at(place) for place in range(len(self._digests)))

    def verify(self) -> Head:
        """Read and verify every byte anew; return how many entries there are and the digest of the last.

        Raises:
            FeedbackError: as :meth:`entries`.
        """
        with self._mutex:
            self._forget()
            self._refresh()
            return Head(len(self._digests), self._digests[-1] if self._digests else None)

    def since(self, index: int) -> tuple[FeedbackEntry, ...]:
        """Return the entries from an index on; of the file only what was added since the last question is read and verified, and these.

        Raises:
            FeedbackError: as :meth:`entries`.
        """
        with self._mutex:
            self._refresh()
            return tuple(self._at(place) for place in range(index, len(self._digests)))

    def entry(self, digest: str) -> FeedbackEntry | None:
        """Return an entry by its digest."""
        return self._found(lambda known: digest if digest in known.places else None)

    def of_form(self, form: str) -> FeedbackEntry | None:
        """Return the entry of a form by the form's id."""
        return self._found(lambda known: known.forms.get(form))

    def own_read(self, reviewer: str, report: str, round_: int = 1) -> FeedbackEntry | None:
        """Return a reader's own read before a report was shown."""
        return self._found(lambda known: known.own_reads.get((reviewer, report, round_)))

    def latest(self, reviewer: str, study: str, round_: int | None = None) -> FeedbackEntry | None:
        """Return what a reader last said of a study and did not supersede, in one round or in any."""
        return self._found(lambda known: known.latest(reviewer, study, round_))

    def judgement(self, reviewer: str, report: str, round_: int = 1) -> FeedbackEntry | None:
        """Return what a reader last said of a report in a round and did not supersede."""
        return self._found(lambda known: known.standing(reviewer, report, round_))

    def control_case(self, reviewer: str, study: str, round_: int = 1) -> FeedbackEntry | None:
        """Return the entry that says that a reader was shown something wrong of a study on purpose."""
        return self._found(lambda known: known.controls.get((reviewer, study, round_)))

    def superseded(self) -> frozenset[str]:
        """Return the digests of the entries that later ones correct."""
        with self._mutex:
            self._refresh()
            return frozenset(self._lookup.superseded)

    def _found(self, ask: Callable[[Lookup], str | None]) -> FeedbackEntry | None:
        with self._mutex:
            self._refresh()
            digest = ask(self._lookup)
            place = None if digest is None else self._lookup.places.get(digest)
            return None if place is None else self._at(place)

    def _at(self, place: int) -> FeedbackEntry:
        start, end = self._starts[place : place + 2]
        with (self.folder / LINES).open("rb") as stream:
            stream.seek(start)
            line = stream.read(end - start)[:-1]
        if digest_of(line) != self._digests[place]:
            raise self._broken(altered(f"entry {place} of the feedback log as it was read before", "other bytes"))
        # The bytes were compared; large masks take long to be taken apart, and who is asked about once is mostly asked about again.
        entry = self._recent.pop(place, None) or read_line(line, place, self._digests[place - 1] if place else None)
        self._remember(entry)
        return entry

    def _remember(self, entry: FeedbackEntry) -> None:
        self._recent[entry.index] = entry
        if len(self._recent) > _RECENT:
            self._recent.pop(next(iter(self._recent)))

    def _refresh(self) -> None:
        """Take up what was added since the last look. The head is read first: lines may be added in between, never taken away."""
        path = self.folder / LINES
        head = self._head()
        try:
            state = path.stat()
        except FileNotFoundError:
            state = None
        size, file = (0, None) if state is None else (state.st_size, state.st_ino)
        if size < self._starts[-1] or file != self._file:
            self._forget()  # another file, as after a restored copy
            self._file = file
        if size > self._starts[-1]:
            with path.open("rb") as stream:
                stream.seek(self._starts[-1])
                self._take(stream.read())
        for before, whose in ((head, "its head names"), (self._reached, "was read before")):
            got = self._digests[before.entries - 1] if 0 < before.entries <= len(self._digests) else None
            if got != before.last:
                raise self._broken(
                    altered(f"entry {before.entries - 1} of the feedback log, which {whose}, with its digest", got or "none")
                )
        if self._digests:
            self._reached = Head(len(self._digests), self._digests[-1])

    def _take(self, added: bytes) -> None:
        # What no line feed ends is being written, or was torn by a kill; :meth:`_mend_end` sets it aside.
        for line in added.split(b"\n")[:-1]:
            try:
                entry = read_line(line, len(self._digests), self._digests[-1] if self._digests else None)
            except FeedbackError as error:
                raise self._broken(error) from None
            digest = digest_of(line)
            self._lookup.add(entry, digest)
            self._remember(entry)
            self._digests.append(digest)
            self._starts.append(self._starts[-1] + len(line) + 1)

    def _broken(self, otherwise: FeedbackError) -> FeedbackError:
        """Return the error that names what was altered, from the whole log; forget what was read of it."""
        self._forget()
        path = self.folder / LINES
        lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
        return first_altered(lines, self._head()) or otherwise

    def _head(self) -> Head:
        path, lines = self.folder / HEAD, self.folder / LINES
        for _ in range(2):  # it may be written for the first time between our two looks
            if path.is_file():
                return read_head(path.read_bytes())
            if not lines.is_file() or not lines.stat().st_size:
                return Head()
        raise altered(f"{HEAD} beside {LINES}", "none")

    def _write(self, line: bytes) -> None:
        path = self.folder / LINES
        try:
            if not path.exists():
                self._write_head()  # before the first line: a log without its head is an altered one
                open_private(path, "ab").close()
                sync_folder(self.folder)
            # Unbuffered: what a full disk did not take would be written once more when the file is closed.
            with open_private(path, "ab", buffering=0) as stream:
                end = stream.seek(0, os.SEEK_END)
                try:
                    write_whole(stream, line)
                except OSError:
                    with contextlib.suppress(OSError):
                        stream.truncate(end)  # half a line is nothing
                    raise
        except OSError as error:
            raise OutputError(
                "OUT_UNWRITABLE", f"expected a feedback log that can be written to, {path} cannot ({error.strerror}); nothing was kept"
            ) from error

    def _write_head(self) -> None:
        write_bytes(self.folder / HEAD, Head(len(self._digests), self._digests[-1] if self._digests else None).to_json())

    def _mend_end(self) -> None:
        """Set a torn last line aside, and bring the head up to a line whose writer ended before it wrote the head: both were not acknowledged."""
        path = self.folder / LINES
        if not path.is_file():
            return
        whole = self._starts[-1]
        with path.open("rb") as stream:
            stream.seek(whole)
            torn = stream.read()
        if torn:
            write_bytes(self.folder / f"feedback.torn-{len(self._digests)}-{digest_of(torn)[:16]}", torn)
            os.truncate(path, whole)
        if self._head().entries != len(self._digests):
            self._write_head()
