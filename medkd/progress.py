"""Progress bars that stay out of each other's way when several processes work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

#: Line of the terminal on which this process draws; set by whoever starts worker processes.
POSITION_VARIABLE = "MEDKD_PROGRESS_LINE"
T = TypeVar("T")


def progress_bar(items: Iterable[T] | None = None, *, title: str, unit: str, enabled: bool, **options: Any) -> tqdm[T]:
    """Return a bar over ``items`` (or one to be updated) on standard error; silent when not enabled or not on a terminal."""
    line = int(os.environ.get(POSITION_VARIABLE, "0"))
    bar: tqdm[Any] = tqdm(items, desc=title, unit=unit, disable=None if enabled else True, leave=False, position=line, **options)
    return bar
