"""Progress of long work: a bar on a terminal, one line when it is over elsewhere, a share of the whole where somebody else draws."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Generic, TypeVar

from tqdm import tqdm

T = TypeVar("T")
#: Seconds below which finished work is not worth a line of its own where there is no terminal.
WORTH_A_LINE_S = 1.0
_listener: Callable[[float], None] | None = None


def report_progress_to(listener: Callable[[float], None] | None) -> None:
    """Hand the share (0 to 1) of whatever is counted in this process to ``listener`` instead of drawing it; None draws again."""
    global _listener
    _listener = listener


class ProgressBar(Generic[T]):
    """A count that somebody can follow. Iterate over it, or call :meth:`update`.

    Args:
        items: what is iterated over, or None.
        title: what is done.
        unit: what is counted.
        total: how many there are; None where that is not known.
        enabled: False says nothing at all.
    """

    def __init__(self, items: Iterable[T] | None, title: str, unit: str, total: int | None, enabled: bool) -> None:
        self._items, self._title, self._unit, self._total, self._enabled = items, title, unit, total, enabled
        self._count, self._started = 0, time.monotonic()
        draws = enabled and _listener is None and sys.stderr.isatty()
        self._drawn: tqdm[Any] | None = tqdm(total=total, desc=title, unit=unit, leave=False) if draws else None

    def __iter__(self) -> Iterator[T]:
        with self:
            for item in self._items or ():
                yield item
                self.update()

    def __enter__(self) -> ProgressBar[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close(finished=kind is None)

    def update(self, count: int = 1) -> None:
        """Count some more."""
        self._count += count
        if not self._enabled:
            return
        if self._drawn is not None:
            self._drawn.update(count)
        elif _listener is not None and self._total:
            _listener(min(1.0, self._count / self._total))

    def reach(self, share: float) -> None:
        """Say that a share (0 to 1) of the whole is done, where another process counts."""
        if self._enabled and self._drawn is not None:
            self._drawn.update((self._total or 0) * share - self._drawn.n)
        elif self._enabled and _listener is not None:
            _listener(min(1.0, share))

    def _close(self, *, finished: bool) -> None:
        if self._drawn is not None:
            self._drawn.close()
        seconds = time.monotonic() - self._started
        if self._enabled and finished and self._drawn is None and _listener is None and seconds >= WORTH_A_LINE_S:
            sys.stderr.write(f"{self._title}: {self._count} {plural(self._unit, self._count)} in {seconds:.0f} s\n")


def progress_bar(items: Iterable[T] | None = None, *, title: str, unit: str, enabled: bool, total: int | None = None) -> ProgressBar[T]:
    """Return a bar over ``items``, or one to be updated; ``total`` is known of a sized collection."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    return ProgressBar(items, title, unit, total, enabled)


def plural(unit: str, count: int) -> str:
    """Return a unit's name for so many of it."""
    if count == 1 or unit == "series":
        return unit
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
