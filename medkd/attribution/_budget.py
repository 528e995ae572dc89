"""A time budget for explainers that refine: as many samples as fit, and a note of how many that were."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Spending:
    """What a budget bought.

    Attributes:
        seconds: the budget, wall time.
        begun: when it began, ``time.perf_counter``.
        cuts: (wanted, made) of each explainer that made fewer samples than it was asked for.
    """

    seconds: float
    begun: float = field(default_factory=time.perf_counter)
    cuts: list[tuple[int, int]] = field(default_factory=list)

    def left(self) -> float:
        """Return the seconds that are left, never negative."""
        return max(0.0, self.seconds - (time.perf_counter() - self.begun))


_CURRENT: ContextVar[Spending | None] = ContextVar("medkd_time_budget", default=None)


@contextmanager
def time_budget(seconds: float | None) -> Iterator[Spending | None]:
    """Let explainers within the block take about so many seconds; None sets no bound."""
    spending = None if seconds is None else Spending(seconds)
    token = _CURRENT.set(spending)
    try:
        yield spending
    finally:
        _CURRENT.reset(token)


def affordable(wanted: int, one: Callable[[], object], *, least: int = 2, warm: bool = True, among: int = 1) -> int:
    """Return how many samples fit into the budget: ``wanted`` without one, never fewer than ``least``.

    Args:
        wanted: samples asked for.
        one: makes one sample; run once to see what it takes, twice where the first pays for what the others share.
        least: samples below which there is no answer at all.
        warm: whether the first run is such a one.
        among: how many such pieces of work, this one included, share what is left.
    """
    spending = _CURRENT.get()
    if spending is None or wanted <= least:
        return wanted
    if warm:
        one()
    begun = time.perf_counter()
    one()
    each = time.perf_counter() - begun
    made = min(wanted, max(least, int(spending.left() / among / max(each, 1e-9))))
    if made < wanted:
        spending.cuts.append((wanted, made))
    return made
