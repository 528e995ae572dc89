"""A compression recipe and the recipe of its data, read before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.compress import CompressionPlan
from medkd.compression.read_compression_recipe import data_recipe, read_compression_recipe
from medkd.training.recipes import read_recipe

#: Recipes that come with the software.
SHIPPED = Path(__file__).parent / "recipes"


def read_plan(path: Path, overrides: Mapping[str, Any], folder: Path, *, named: bool) -> CompressionPlan:
    """Return what a compression recipe stands for.

    Args:
        path: its file.
        overrides: dotted fields of the recipe of the data, as that was trained with.
        folder: of the table, or the run below which it goes.
        named: whether ``folder`` is that of the table.

    Raises:
        RecipeError: as ``read_compression_recipe``, ``data_recipe`` and ``read_recipe``.
    """
    recipe = read_compression_recipe(path)
    data = read_recipe(data_recipe(path, recipe.recipe, SHIPPED), overrides)
    return CompressionPlan(recipe, data, folder if named else folder / "compression" / recipe.name)
