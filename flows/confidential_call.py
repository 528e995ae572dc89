"""Work that an orchestrator runs without being told what with, what came of it, or why it failed: it writes down whatever it is told."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from data_contracts import MedkdError
from data_contracts.private import open_private

R = TypeVar("R")
#: Where the sentence of an error lies when nobody waits for it, below a run: as confidential as what it may name.
ERROR = "quarantine/error.txt"


class WorkFailed(Exception):
    """What an orchestrator may write down of an error: its kind and code."""


class ConfidentialCall(Generic[R]):
    """A call whose arguments, result and error stay in this process.

    Args:
        function: what is called.
        args: its arguments.
        kwargs: its named arguments.
        error_in: run in whose quarantine the sentence of an error is kept.
    """

    def __init__(
        self, function: Callable[..., R], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, *, error_in: Path | None = None
    ) -> None:
        self._function, self._args, self._kwargs, self._error_in = function, args, kwargs or {}, error_in
        self._result: list[R] = []
        self._error: Exception | None = None

    @property
    def body(self) -> Callable[[], None]:
        """Return the call as a function without arguments and result."""

        def body() -> None:
            self._result.append(self.finish())

        return body

    def finish(self) -> R:
        """Call, and raise of an error only what may be written down.

        Raises:
            WorkFailed: in place of any error; interrupts are handed on.
        """
        try:
            return self._function(*self._args, **self._kwargs)
        except Exception as error:
            self._error = error
        self._fail(self._error)

    def by(self, orchestrator: Callable[[], Any]) -> R:
        """Let an orchestrator run the body, and return its result or raise its error as if it had been called."""
        try:
            orchestrator()
        except WorkFailed:
            if self._error is not None:
                raise self._error from None
            raise
        return self._result[-1]

    def _fail(self, error: Exception) -> NoReturn:
        said = named(error)
        if self._error_in is not None:
            with suppress(OSError), open_private(self._error_in / ERROR, "w", encoding="utf-8") as stream:
                # An error that is none of ours is a fault: where it happened is then all there is to go by.
                stream.write(f"{said}: {error}\n" if isinstance(error, MedkdError) else "".join(traceback.format_exception(error)))
            said = f"{said} (its sentence is in {ERROR} of the run)"
        raise WorkFailed(said)


def named(error: BaseException) -> str:
    """Return the kind of an error and its code, never its sentence: that may name files, and those may be named after people."""
    return " ".join((type(error).__name__, *([error.code] if isinstance(error, MedkdError) else [])))
