"""The one error of this package, in the form of ``data_contracts.errors``: a stable code, and one sentence with what was expected, what came, what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One weak setting.

    Attributes:
        code: stable name.
        message: one sentence: what was expected, what there is, what to do.
    """

    code: str
    message: str


class ServerError(Exception):
    """A server is not started, or nothing is done to its data; ``code`` is stable, ``str(error)`` is one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return what is wrong, one by one."""
        return (Problem(self.code, self.message),)


class WeakSettingsError(ServerError):
    """Preflight found weak settings; all of them are in ``problems``."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems[0].code, problems[0].message)
        self._problems = problems

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return every weak setting."""
        return self._problems
