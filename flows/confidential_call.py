"""Work that an orchestrator runs and is told little of: it writes down whatever an error says, and that may name people's files."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, NoReturn, ParamSpec, TypeVar

from data_contracts import MedkdError, MissingDependencyError
from data_contracts.private import open_private

P = ParamSpec("P")
R = TypeVar("R")
#: Where the sentence of an error lies when nobody waits for it, below a run: as confidential as what it may name.
ERROR = "quarantine/error.txt"


class WorkFailed(Exception):
    """What an orchestrator may write down of an error: its kind and code.

    Attributes:
        error: the error itself, for whoever started the work; None where only what was written down is left.
    """

    error: Exception | None = None

    @classmethod
    def of(cls, error: Exception) -> WorkFailed:
        """Return what may be written down of an error, with the error beside it."""
        if isinstance(error, WorkFailed):
            return error
        failed = cls(named(error))
        failed.error = error
        return failed


def confidential(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that raises :class:`WorkFailed` in place of any error; interrupts are handed on.

    A function of Python's, for Prefect looks for the file that one was written in.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            failed = error
        # Outside of the handler: the first error would be written down as the context of the second.
        raise WorkFailed.of(failed)

    return call


class Outcome(Generic[R]):
    """What came of a call, kept for whoever waits for it."""

    def __init__(self) -> None:
        self._result: list[R] = []
        self._error: Exception | None = None

    def of(self, call: Callable[[], R]) -> str | None:
        """Call, and return what may be written down of an error: its kind and code; None without one."""
        try:
            self._result.append(call())
        except Exception as error:
            self._error = error
            return named(error)
        return None

    @property
    def is_known(self) -> bool:
        """Return whether the call came to an end."""
        return bool(self._result) or self._error is not None

    def get(self) -> R:
        """Return the result, or raise the error.

        Raises:
            MissingDependencyError: ``PREFECT_RUN`` when the orchestrator ended the run before the call was made.
        """
        if self._error is not None:
            raise self._error
        if not self._result:
            raise MissingDependencyError(
                "PREFECT_RUN",
                "expected Prefect to run the flow, it ended the run before that; look at the server's log, or try --engine none",
            )
        return self._result[0]


def fail_in_private(error: Exception, folder: Path) -> NoReturn:
    """Keep the sentence of an error in the quarantine of a run, and raise what may be written down, with the place.

    Args:
        error: what ended the run.
        folder: of the run.
    """
    error = error.error or error if isinstance(error, WorkFailed) else error
    with suppress(OSError), open_private(folder / ERROR, "w", encoding="utf-8") as stream:
        # An error that is none of ours is a fault: where it happened is then all there is to go by.
        stream.write(f"{named(error)}: {error}\n" if isinstance(error, MedkdError) else "".join(traceback.format_exception(error)))
    raise WorkFailed(f"{named(error)} (its sentence is in {ERROR} of the run)") from None


def named(error: BaseException) -> str:
    """Return the kind of an error and its code, never its sentence: that may name files, and those may be named after people."""
    return " ".join((type(error).__name__, *([error.code] if isinstance(error, MedkdError) else [])))
