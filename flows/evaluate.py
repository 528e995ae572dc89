"""Flow: every model is evaluated on every test cohort, arms get scorecards and are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flows.each import run_each
from flows.engine import orchestrated
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.recipe_calls import by_arm, card_calls, comparison_calls, evaluation_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace


@orchestrated
def evaluate(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Evaluate the models of each recipe, summarise each arm (teacher first), and compare later arms with earlier ones."""
    done = run_each(
        evaluate_model,
        results,
        partial(evaluation_calls, workspace),
        title="evaluate",
        name_of=lambda _, call: f"{call[1]} {call[3].arm}-{call[3].seed}",
    )
    # Scorecards and comparisons need all seeds of an arm: only now is every one of them there.
    arms = {result.recipe.name: by_arm(evaluations) for result, evaluations in done}
    carded = run_each(summarise, results, lambda one: card_calls(workspace, one, arms[one.recipe.name]), title="scorecards")
    compared = run_each(
        compare_arms,
        [replace(one, scorecards=tuple(cards)) for one, cards in carded],
        lambda one: comparison_calls(workspace, one, arms[one.recipe.name]),
        title="compare",
    )
    return tuple(replace(result, comparisons=tuple(own)) for result, own in compared)
