"""A time budget for explainers that refine: as many samples as fit, the same number in every window and case, and a note of how many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Spending:
    """What a budget buys.

    Attributes:
        seconds: the budget, wall time; None where ``made`` says it all.
        runs: explanations that share it, each over ``windows``.
        made: samples that each makes: decided by the first that asks, or given (a replay).
        wanted: samples that the first asked for.
        windows: pieces of an explanation, each explained on its own.
        started: when it began, ``time.perf_counter``.
    """

    seconds: float | None
    runs: int = 1
    made: int | None = None
    wanted: int | None = None
    windows: int = 1
    started: float = field(default_factory=time.perf_counter)

    def left(self) -> float:
        """Return the seconds that are left, never negative."""
        return max(0.0, (self.seconds or 0.0) - (time.perf_counter() - self.started))

    @property
    def cut(self) -> tuple[int, int] | None:
        """Return (wanted, made) where fewer samples were made than were asked for."""
        return (self.wanted, self.made) if self.wanted is not None and self.made is not None and self.made < self.wanted else None


_CURRENT: ContextVar[Spending | None] = ContextVar("medkd_time_budget", default=None)


@contextmanager
def time_budget(seconds: float | None, *, runs: int = 1, made: int | None = None) -> Iterator[Spending | None]:
    """Let explainers within the block take about so many seconds together, or make ``made`` samples each; None and None set no bound."""
    spending = None if seconds is None and made is None else Spending(seconds, runs, made)
    token = _CURRENT.set(spending)
    try:
        yield spending
    finally:
        _CURRENT.reset(token)


def expect_windows(windows: int) -> None:
    """Say in how many pieces each explanation within the budget is made."""
    spending = _CURRENT.get()
    if spending is not None:
        spending.windows = max(1, windows)


def affordable(wanted: int, one: Callable[[], object], *, least: int = 2, warm: bool = True, among: int = 1) -> int:
    """Return how many samples fit into the budget: ``wanted`` without one, never fewer than ``least``.

    Args:
        wanted: samples asked for.
        one: makes one sample; run once to see what it takes, twice where the first pays for what the others share.
        least: samples below which there is no answer at all.
        warm: whether the first run is such a one.
        among: cases of the batch that are to come, this one included.
    """
    spending = _CURRENT.get()
    if spending is None or wanted <= least:
        return wanted
    if spending.wanted is None:
        spending.wanted = wanted
    if spending.made is None:
        if warm:
            one()
        started = time.perf_counter()
        one()
        each = time.perf_counter() - started
        spending.made = int(spending.left() / (among * spending.runs * spending.windows) / max(each, 1e-9))
    # What was bought is said as it was made, so that a replay makes as many.
    spending.made = max(least, min(wanted, spending.made))
    return spending.made
