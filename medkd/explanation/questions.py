"""Questions of readers on their way to a worker with the model, as files: who asks needs no torch, and who answers no server.

::

    QUEUE/asked/ID.json       every question that was asked
    QUEUE/waiting/ID.json     waits for a worker; the oldest is answered first
    QUEUE/working/ID.json     taken by a worker
    QUEUE/answered/ID.json    the answer
    QUEUE/explanations/…      what was kept for the answers
    QUEUE/worker              touched by a worker while it is there
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_contracts import ExplanationAnswer, ExplanationError, ExplanationQuestion, load_record
from data_contracts.private import private_folder

#: Folder of what was kept for the answers.
EXPLANATIONS = "explanations"
_ASKED, _WAITING, _WORKING, _ANSWERED, _WORKER = "asked", "waiting", "working", "answered", "worker"


@dataclass(frozen=True)
class QueueLimits:
    """Bounds of a queue.

    Attributes:
        most_waiting: questions that may wait.
        most_seconds: that a worker may take for one before it is taken for dead and the question is given to another.
        most_tries: after which a question is answered with a refusal.
        worker_seconds: without a sign after which no worker is there.
    """

    most_waiting: int = 100
    most_seconds: float = 300.0
    most_tries: int = 2
    worker_seconds: float = 15.0


@dataclass(frozen=True)
class QuestionState:
    """Where a question is.

    Attributes:
        status: waiting, being worked on, answered, or never asked.
        ahead: questions that are answered before it.
        answer: of an answered one.
    """

    status: Literal["waiting", "working", "answered", "unknown"]
    ahead: int = 0
    answer: ExplanationAnswer | None = None


class QuestionQueue:
    """The queue in a folder; several servers and workers may use it.

    Args:
        folder: of the queue, made where there is none.
        limits: of it.
    """

    def __init__(self, folder: Path, limits: QueueLimits | None = None) -> None:
        self.folder, self.limits = folder, limits or QueueLimits()
        for name in (_ASKED, _WAITING, _WORKING, _ANSWERED):
            private_folder(folder / name)

    def ask(self, question: ExplanationQuestion) -> str:
        """Put a question into the queue and return its id; one that was asked before is not asked again, unless it was refused.

        Raises:
            ExplanationError: ``QUEUE_FULL``.
        """
        name = question.digest()
        state = self.state(name)
        if state.status in ("waiting", "working") or (state.answer is not None and not state.answer.code):
            return name
        waiting = len(self._in(_WAITING))
        if waiting >= self.limits.most_waiting:
            raise ExplanationError("QUEUE_FULL", f"expected fewer than {waiting} questions that wait: ask again when some were answered")
        question.write(self._path(_ASKED, name))
        question.write(self._path(_WAITING, name))
        self._path(_ANSWERED, name).unlink(missing_ok=True)
        return name

    def state(self, name: str) -> QuestionState:
        """Return where a question is."""
        # In the order in which a question goes, so that one that moves meanwhile is seen: a file is renamed from each to the next.
        waiting = self._in(_WAITING)
        for place, path in enumerate(waiting):
            if path.stem == name:
                return QuestionState("waiting", ahead=place)
        if self._path(_WORKING, name).is_file():
            return QuestionState("working")
        if self._path(_ANSWERED, name).is_file():
            return QuestionState("answered", answer=load_record(self._path(_ANSWERED, name), ExplanationAnswer))
        return QuestionState("unknown")

    def question(self, name: str) -> ExplanationQuestion | None:
        """Return a question that was asked; None for an id that none has."""
        if not re.fullmatch(r"[0-9a-f]{64}", name):
            return None
        path = self._path(_ASKED, name)
        return load_record(path, ExplanationQuestion) if path.is_file() else None

    def asked(self) -> list[ExplanationQuestion]:
        """Return all questions that were asked, the latest first."""
        return [load_record(path, ExplanationQuestion) for path in reversed(self._in(_ASKED))]

    def folder_of(self, answer: ExplanationAnswer) -> Path:
        """Return the folder of the explanation that was kept for an answer."""
        return self.folder / EXPLANATIONS / str(answer.content_id)

    def take(self) -> ExplanationQuestion | None:
        """Return the oldest question that waits, which is this worker's now; None where none does."""
        self.folder.joinpath(_WORKER).touch(mode=0o600)
        self._give_back()
        for path in self._in(_WAITING):
            taken = self._path(_WORKING, path.stem)
            try:
                path.rename(taken)
            except FileNotFoundError:  # another worker was faster
                continue
            os.utime(taken)
            return load_record(taken, ExplanationQuestion)
        return None

    def answer(self, answer: ExplanationAnswer) -> None:
        """Keep the answer to a question that was taken."""
        answer.write(self._path(_ANSWERED, answer.question))
        self._path(_WORKING, answer.question).unlink(missing_ok=True)
        self._tries(answer.question).unlink(missing_ok=True)

    def has_worker(self) -> bool:
        """Return whether a worker gave a sign of late, or is at work."""
        try:
            since = time.time() - self.folder.joinpath(_WORKER).stat().st_mtime
        except FileNotFoundError:
            return False
        return since < self.limits.worker_seconds or bool(self._in(_WORKING))

    def _give_back(self) -> None:
        """Let questions wait again whose worker is gone; one that was tried too often is refused."""
        for path in self._in(_WORKING):
            try:
                taken = time.time() - path.stat().st_mtime
            except FileNotFoundError:
                continue
            if taken < self.limits.most_seconds:
                continue
            tries = self._tries(path.stem)
            made = (int(tries.read_text()) if tries.is_file() else 0) + 1
            if made >= self.limits.most_tries:
                reason = f"no answer within {self.limits.most_seconds:g} seconds, tried {made} times"
                self.answer(ExplanationAnswer(question=path.stem, code="QUESTION_TIMED_OUT", reason=reason, seconds=taken))
            else:
                tries.write_text(str(made))
                path.replace(self._path(_WAITING, path.stem))

    def _in(self, where: str) -> list[Path]:
        """Return the questions in a folder, the oldest first."""
        found = []
        for path in (self.folder / where).glob("[0-9a-f]*.json"):
            try:
                found.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:  # it went on meanwhile
                continue
        return [path for _, path in sorted(found)]

    def _path(self, where: str, name: str) -> Path:
        return self.folder / where / f"{name}.json"

    def _tries(self, name: str) -> Path:
        return self.folder / _WORKING / f"{name}.tries"
