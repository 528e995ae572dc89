"""Flow: the first student of every arm is explained beside its teacher."""

from __future__ import annotations

from data_contracts import Checkpoint, CohortSet, ExplanationBundle, Recipe
from flows.engine import orchestrated, run_all
from medkd.explanation.explain_cohort import explain_cohort, siblings_of
from medkd.storage.workspace import Workspace


@orchestrated
def explain(
    workspace: Workspace, recipes: tuple[Recipe, ...], cohorts: tuple[CohortSet, ...], models: tuple[tuple[Checkpoint, ...], ...]
) -> tuple[tuple[ExplanationBundle, ...], ...]:
    """Return one bundle per arm of each recipe, made with the arm's first seed."""
    chosen = [[model for model in own[1:] if model.seed == recipe.seeds[0]] for recipe, own in zip(recipes, models, strict=True)]
    calls = [
        (workspace, recipe.explanation(), own, student, group[0], siblings_of(recipe.explanation(), student, group[1:]))
        for recipe, own, group, students in zip(recipes, cohorts, models, chosen, strict=True)
        for student in students
    ]
    names = [f"{spec.name} {student.arm}-{student.seed}" for _, spec, _, student, *_ in calls]
    bundles = iter(run_all(explain_cohort, calls, title="explain", names=names))
    return tuple(tuple(next(bundles) for _ in students) for students in chosen)
