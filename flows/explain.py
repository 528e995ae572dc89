"""Flow: every student is explained beside its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flows.each import run_each
from flows.engine import orchestrated
from medkd.explanation.explain_cohort import explain_cohort
from medkd.recipe_calls import explanation_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace


@orchestrated
def explain(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Explain the students of each recipe: every arm under every seed, on fewer cases after the first seed."""
    explained = run_each(
        explain_cohort,
        results,
        partial(explanation_calls, workspace),
        title="explain",
        name_of=lambda _, call: f"{call[1].name} {call[3].arm}-{call[3].seed}",
    )
    return tuple(replace(result, bundles=tuple(bundles)) for result, bundles in explained)
