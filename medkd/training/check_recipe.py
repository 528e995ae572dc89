"""Everything that is wrong with a recipe's file and with the data that it names, at once and before any compute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_contracts import Recipe
from medkd.cohorts.check_source import source_problems
from medkd.training.form_mistakes import readable_parts
from medkd.training.memory import require_training_memory
from medkd.training.mistake import Mistake, Source, attempt, raise_first
from medkd.training.processes import require_processes
from medkd.training.recipes import mistakes_of, read_fields
from medkd.yaml_text import yaml_lines


@dataclass(frozen=True)
class RecipeCheck:
    """What a look at a recipe found.

    Attributes:
        source: file and lines.
        mistakes: all of them, in the order of the file; those of ``--set`` and of the machine last.
        recipe: what the file says, where nothing is wrong with it.
    """

    source: Source
    mistakes: tuple[Mistake, ...]
    recipe: Recipe | None


def check_recipe(path: Path, overrides: Mapping[str, Any] | None = None, *, data_root: Path) -> RecipeCheck:
    """Look at a recipe: form, names of the catalogues, needs, its data's folder, columns and labels, and what it takes of the memory.

    Args:
        path: YAML file.
        overrides: dotted field → value.
        data_root: folder that ``data.path`` is relative to.

    Raises:
        RecipeError: ``RECIPE_MISSING``, ``RECIPE_UNREADABLE`` or ``RECIPE_OVERRIDE``: there is no recipe to look at.
    """
    payload, read = read_fields(path, overrides or {})
    source = Source(read.name, yaml_lines(path), read.overrides)
    mistakes = list(mistakes_of(payload, source.name))
    if all(mistake.error.code != "RECIPE_PATH" for mistake in mistakes):
        mistakes += data_mistakes(payload, data_root, mistakes)
    recipe = None if mistakes else Recipe.model_validate(payload)
    if recipe is not None:
        mistakes += attempt((), lambda: require_training_memory(recipe, data_root))
        mistakes += attempt((), lambda: require_processes(recipe))
    ordered = sorted(mistakes, key=lambda mistake: source.line(mistake.place) or len(source.lines) + 1)
    return RecipeCheck(source, tuple(ordered), recipe if not mistakes else None)


def data_mistakes(payload: Any, data_root: Path, broken: Iterable[Mistake] = ()) -> Iterator[Mistake]:
    """Yield what is wrong with the data that a recipe's plain fields name, as far as those fields can be read."""
    data, task = readable_parts(payload, broken)
    if data is not None:
        for field, error in source_problems(data, task, data_root):
            yield Mistake(("data", field), error)


def require_data(recipe: Recipe, path: Path, overrides: Mapping[str, Any], data_root: Path) -> None:
    """Refuse a recipe whose data are not there as it says.

    Raises:
        SourceError: folder, list or table is missing.
        DataError: table, columns, labels or names do not fit; each as the importers say it, with file and line of the recipe.
    """
    mistakes = list(data_mistakes(recipe.model_dump(mode="json"), data_root))
    if mistakes:
        raise_first(mistakes, Source(path.name, yaml_lines(path), tuple(overrides)))
