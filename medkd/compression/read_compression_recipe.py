"""A compression recipe from its YAML file, with the recipe of its data."""

from __future__ import annotations

from pathlib import Path

from data_contracts import CompressionRecipe, RecipeError
from medkd.training.form_mistakes import record_mistakes
from medkd.training.mistake import FieldPath
from medkd.training.recipes import read_fields
from medkd.yaml_text import yaml_lines

#: How files of recipes end, where only the name of a shipped one is given.
_ENDS = (".yaml", ".yml")


def read_compression_recipe(path: Path) -> CompressionRecipe:
    """Return a compression recipe.

    Raises:
        RecipeError: ``RECIPE_MISSING``, ``RECIPE_UNREADABLE``, or ``RECIPE_INVALID`` with file, line and field of the first mistake and how many
            more there are.
    """
    payload, _ = read_fields(path, {})
    mistakes = list(record_mistakes(CompressionRecipe, payload))
    if mistakes:
        (place, sentence), more = mistakes[0], len(mistakes) - 1
        rest = f"; and {more} more mistake{'s' * (more > 1)}" if more else ""
        raise RecipeError("RECIPE_INVALID", f"{sentence} ({_where(path, place)}){rest}")
    return CompressionRecipe.model_validate(payload)


def _where(path: Path, place: FieldPath) -> str:
    lines = yaml_lines(path)
    line = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), None)
    return f"{path.name}{f':{line}' if line else ''} {'.'.join(map(str, place))}".strip()


def data_recipe(path: Path, named: str, shipped: Path) -> Path:
    """Return the file of the recipe that a compression recipe names: one beside it, or one that comes with the software.

    Args:
        path: of the compression recipe.
        named: name of a shipped recipe, or of a file in the folder of ``path``.
        shipped: folder of the shipped recipes.

    Raises:
        RecipeError: ``RECIPE_MISSING`` listing the shipped ones; ``RECIPE_PATH`` for a name that leaves the folder.
    """
    if Path(named).name != named:
        raise RecipeError("RECIPE_PATH", f"expected the name of a shipped recipe or of a file beside {path.name}, got {named[:100]!r}")
    places = (path.with_name(named), shipped / named, *(shipped / f"{named}{end}" for end in _ENDS))
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        known = ", ".join(sorted(one.stem for one in shipped.glob("*.yaml")))
        raise RecipeError("RECIPE_MISSING", f"expected a recipe {named!r} beside {path.name} or one of {known}, found no file")
    return found
