"""One thing that is wrong with a recipe, where it stands, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from data_contracts import MedkdError

#: The names and numbers that lead to a value: ``("arms", "kd", "terms", 0, "loss")``.
FieldPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """A mistake in a recipe.

    Attributes:
        place: of the value that is wrong; empty for the whole recipe.
        error: code, and the sentence that says what was expected and what came.
    """

    place: FieldPath
    error: MedkdError

    @property
    def field(self) -> str:
        """Return the dotted name of the field."""
        return ".".join(map(str, self.place))


@dataclass(frozen=True)
class Source:
    """Where a recipe was read.

    Attributes:
        name: of the file, or of the recipe that was varied.
        lines: line of each value, by its place.
        overrides: dotted fields that were set beside the file.
    """

    name: str
    lines: Mapping[FieldPath, int]
    overrides: tuple[str, ...] = ()

    def line(self, place: FieldPath) -> int | None:
        """Return the line of a value, or of the nearest value that holds it; None where it is not in the file."""
        if self.is_override(place):
            return None
        return next((self.lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self.lines), None)

    def where(self, mistake: Mistake) -> str:
        """Say where a mistake stands: file, line and field, as editors and terminals link it."""
        line = self.line(mistake.place)
        file = "--set" if self.is_override(mistake.place) else self.name if line is None else f"{self.name}:{line}"
        return f"{file} {mistake.field}".strip()

    def is_override(self, place: FieldPath) -> bool:
        """Return whether a value was set beside the file."""
        dotted = ".".join(map(str, place))
        return any(dotted == name or dotted.startswith(f"{name}.") for name in self.overrides)


def attempt(place: FieldPath, check: Callable[[], object]) -> Iterator[Mistake]:
    """Yield the mistake that a check raises, if it does."""
    try:
        check()
    except MedkdError as error:
        yield Mistake(place, error)


def raise_first(mistakes: list[Mistake], source: Source) -> None:
    """Raise the first of the mistakes, if there are any, with its place and how many more there are."""
    if not mistakes:
        return
    first, more = mistakes[0], len(mistakes) - 1
    sentence = f"{first.error} ({source.where(first)})"
    if more:
        sentence += f"; and {more} more mistake{'s' * (more > 1)}: `medkd recipe check` lists all"
    # In its own kind: callers tell a missing entry from a wrong field by class and code.
    raise type(first.error)(first.error.code, sentence) from first.error
