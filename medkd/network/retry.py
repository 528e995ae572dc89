"""Tries again what may go well the next time, after waits that double."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class Transient(Exception):
    """Something failed that may go well the next time; its cause is the error that is raised in the end."""


@dataclass(frozen=True)
class Retries:
    """How often, and after what time.

    Attributes:
        attempts: in all.
        first_wait_s: before the second attempt; each further wait is twice the one before it.
        longest_wait_s: no wait is longer.
    """

    attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0

    def waits(self) -> list[float]:
        """Return the seconds between attempts."""
        return [min(self.longest_wait_s, self.first_wait_s * 2**number) for number in range(self.attempts - 1)]


def retried(action: Callable[[], T], retries: Retries, *, sleep: Callable[[float], None] = time.sleep) -> T:
    """Return what an action returns, tried again while it raises :class:`Transient`.

    Args:
        action: that is tried.
        retries: how often.
        sleep: waits so many seconds.

    Raises:
        The cause of the last :class:`Transient`; whatever else the action raises, at once.
    """
    for wait in [*retries.waits(), None]:
        try:
            return action()
        except Transient as error:
            if wait is None:
                raise (error.__cause__ or error) from None
            # Not all at the same moment: several that were refused together would be refused together again.
            sleep(wait * random.uniform(0.5, 1.0))
    raise AssertionError(f"{retries.attempts} attempts")  # the last one returns or raises
