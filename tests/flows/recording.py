"""An engine that runs nothing: it notes which stage is called with what, and answers as it was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_contracts import Recipe, read_record
from flows.engine import CURRENT

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"


class RecordingEngine:
    """Notes groups of calls as (title, stage, calls, names).

    Args:
        answers: by title, what a call returns: a value, or a function of its arguments. Others return their title.
    """

    name = "recording"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.groups: list[tuple[str, str, list[tuple[Any, ...]], list[str] | None]] = []
        self.expected: dict[str, float] = {}

    workers = None

    def run_flow(self, wanted: Any, *args: Any, **kwargs: Any) -> Any:
        return wanted.fn(*args, **kwargs)

    def submit_all(
        self, work: Any, calls: Sequence[tuple[Any, ...]], *, title: str, names: Sequence[str] | None = None, reads_disk: bool = False
    ) -> list[Any]:
        self.groups.append((title, work.fn.__name__, list(calls), None if names is None else list(names)))
        answer = self.answers.get(title.replace(" ", "_"), title)
        return [answer(*call) if callable(answer) else answer for call in calls]

    def expect(self, seconds: Mapping[str, float]) -> None:
        self.expected = dict(seconds)

    def calls(self, title: str) -> list[tuple[Any, ...]]:
        """Return the calls of the only group of a title."""
        (found,) = [calls for name, _, calls, _ in self.groups if name == title]
        return found

    def titles(self) -> list[str]:
        return [title for title, *_ in self.groups]


@contextmanager
def recorded(**answers: Any) -> Iterator[RecordingEngine]:
    """Put a recording engine in charge."""
    engine = RecordingEngine(**answers)
    token = CURRENT.set(engine)
    try:
        yield engine
    finally:
        CURRENT.reset(token)


def golden_recipe(name: str = "golden", **changes: Any) -> Recipe:
    """Return a recipe of one arm and two seeds whose names nothing depends on."""
    return read_record((GOLDEN / "recipe_3.json").read_bytes(), Recipe).model_copy(update={"name": name, **changes})
