"""Flow: every arm of every recipe is trained under every seed."""

from __future__ import annotations

from data_contracts import Checkpoint, CohortSet, Recipe
from flows.engine import orchestrated, run_all
from medkd.training import train
from medkd.training.recipes import bound_digest
from medkd.workspace import Workspace


@orchestrated
def distill(
    workspace: Workspace, recipes: tuple[Recipe, ...], cohorts: tuple[CohortSet, ...], teachers: tuple[Checkpoint, ...]
) -> tuple[tuple[Checkpoint, ...], ...]:
    """Return the students of each recipe, in the order of its arms and then of its seeds."""
    calls = [
        (workspace, recipe, own, teacher, arm, seed, bound_digest(recipe))
        for recipe, own, teacher in zip(recipes, cohorts, teachers, strict=True)
        for arm in recipe.arms
        for seed in recipe.seeds
    ]
    students = iter(run_all(train.distill, calls, title="students"))
    return tuple(tuple(next(students) for _ in range(len(recipe.arms) * len(recipe.seeds))) for recipe in recipes)
