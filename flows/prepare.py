"""Step: recipes become cohorts with their certificates."""

from __future__ import annotations

from data_contracts import CohortSet, Recipe
from flows.engine import run_all
from medkd.volumes.prepare import prepare_cohorts, source_digest
from medkd.workspace import Workspace


def prepare(workspace: Workspace, recipes: tuple[Recipe, ...]) -> tuple[CohortSet, ...]:
    """Render or import, split and certify the cohorts of each recipe."""
    calls = [(workspace, recipe, source_digest(recipe, workspace.data_root)) for recipe in recipes]
    return tuple(run_all(prepare_cohorts, calls, title="cohorts"))
