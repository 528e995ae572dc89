"""Flow: every arm of every recipe is trained under every seed."""

from __future__ import annotations

from data_contracts import Checkpoint, CohortSet, KnowledgeRef, Recipe
from flows.engine import orchestrated, run_all
from medkd.storage.workspace import Workspace
from medkd.training import train


@orchestrated
def distill(
    workspace: Workspace,
    recipes: tuple[Recipe, ...],
    cohorts: tuple[CohortSet, ...],
    teachers: tuple[Checkpoint | None, ...],
    knowledge: tuple[KnowledgeRef | None, ...],
) -> tuple[tuple[Checkpoint, ...], ...]:
    """Return the students of each recipe, in the order of its arms and then of its seeds."""
    calls = [
        (workspace, recipe.student_training(arm, seed), own, teacher, told if recipe.arms[arm].knowledge == "store" else None)
        for recipe, own, teacher, told in zip(recipes, cohorts, teachers, knowledge, strict=True)
        for arm in recipe.arms
        for seed in recipe.seeds
    ]
    names = [f"{spec.recipe} {spec.arm}-{spec.seed}" for _, spec, *_ in calls]
    students = iter(run_all(train.distill, calls, title="students", names=names))
    return tuple(tuple(next(students) for _ in range(len(recipe.arms) * len(recipe.seeds))) for recipe in recipes)
