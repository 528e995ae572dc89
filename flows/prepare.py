"""Step: recipes become cohorts with their certificates."""

from __future__ import annotations

from data_contracts import Recipe
from flows.engine import run_all
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.precision import warn_of_slow_precision
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace


def prepare(workspace: Workspace, recipes: tuple[Recipe, ...]) -> tuple[RecipeResult, ...]:
    """Render or import, split and certify the cohorts of each recipe."""
    warn_of_slow_precision(fit.precision for recipe in recipes for fit in (recipe.teacher.fit, recipe.student.fit))
    calls = [(workspace, recipe.cohorts(), source_digest(recipe.data, workspace.data_root)) for recipe in recipes]
    cohorts = run_all(prepare_cohorts, calls, title="cohorts", names=[recipe.name for recipe in recipes])
    return tuple(RecipeResult(recipe, own) for recipe, own in zip(recipes, cohorts, strict=True))
