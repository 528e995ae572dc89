"""What a call of a task is called."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """What a call is called: its name, and the words by which it is found (recipe, arm, seed)."""

    name: str
    tags: tuple[str, ...] = ()
