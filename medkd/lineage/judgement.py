"""What is decided of one thing when a run is cleaned up, and how old things are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_DAY_S = 86400.0


@dataclass(frozen=True)
class Judgement:
    """One thing and whether it stays.

    Attributes:
        kind: what it is, for example ``version``.
        name: what it is called.
        why: the reason why it stays, or goes.
        bytes: of its files.
        remove: removes it; None where it stays.
    """

    kind: str
    name: str
    why: str
    bytes: int = 0
    remove: Callable[[], object] | None = field(default=None, compare=False, repr=False)

    @property
    def stays(self) -> bool:
        """Return whether it is kept."""
        return self.remove is None


def days_old(path: Path, now: float) -> float:
    """Return the days since a file, or anything in a folder, was last written."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return (now - max((one.stat().st_mtime for one in files), default=now)) / _DAY_S


def days_since(created_ms: int, now: float) -> float:
    """Return the days since a time in milliseconds since 1970."""
    return (now - created_ms / 1000) / _DAY_S


def current_time() -> float:
    """Return the seconds since 1970: the one clock that is asked, so that a test can set it."""
    return time.time()
