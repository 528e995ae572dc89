"""Flow: the first student of every arm is explained beside its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flows.each import Call, run_each
from flows.engine import orchestrated
from medkd.explanation.explain_cohort import explain_cohort, siblings_of
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace


@orchestrated
def explain(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Explain one student per arm of each recipe, that of the first seed."""

    def calls_of(result: RecipeResult) -> list[Call]:
        spec, teacher = result.recipe.explanation(), result.require_teacher()
        chosen = [student for student in result.students if student.seed == result.recipe.seeds[0]]
        return [(workspace, spec, result.cohorts, student, teacher, siblings_of(spec, student, result.students)) for student in chosen]

    explained = run_each(
        explain_cohort, results, calls_of, title="explain", name_of=lambda _, call: f"{call[1].name} {call[3].arm}-{call[3].seed}"
    )
    return tuple(replace(result, bundles=tuple(bundles)) for result, bundles in explained)
