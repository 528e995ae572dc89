"""Flow: every student is explained beside its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flows.each import of_model, submit_each
from flows.orchestration import flow, task
from medkd.explanation.explain_cohort import explain_cohort
from medkd.recipe_calls.evaluation_calls import explanation_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

explain_student = task(explain_cohort, name="explain")


@flow
def explain(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Explain the students of each recipe: every arm under every seed, on fewer cases after the first seed."""
    explained = submit_each(
        explain_student,
        results,
        partial(explanation_calls, workspace),
        title="explain",
        name_of=lambda one, call: of_model(one, call[3].arm, call[3].seed),
    )
    return tuple(replace(result, bundles=tuple(bundles)) for result, bundles in explained)
