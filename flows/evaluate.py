"""Flow: every model is evaluated on every test cohort, arms get scorecards and are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from data_contracts import Evaluation
from flows.each import Call, run_each
from flows.engine import orchestrated
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

Arms = dict[str, tuple[Evaluation, ...]]


@orchestrated
def evaluate(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Evaluate the models of each recipe, summarise each arm (teacher first), and compare later arms with earlier ones."""
    done = run_each(
        evaluate_model,
        results,
        lambda one: [(workspace, one.recipe.name, one.cohorts, model, one.models[0]) for model in one.models],
        title="evaluate",
        name_of=lambda _, call: f"{call[1]} {call[3].arm}-{call[3].seed}",
    )
    arms = {result.recipe.name: _by_arm(evaluations) for result, evaluations in done}

    def pairs_of(result: RecipeResult) -> list[Call]:
        own = arms[result.recipe.name]
        return [(workspace, result.cohorts, own[a], own[b], _teacher(own, b)) for a, b in _pairs(own)]

    carded = run_each(
        summarise,
        results,
        lambda one: [(workspace, one.recipe.name, one.cohorts, group) for group in arms[one.recipe.name].values()],
        title="scorecards",
    )
    compared = run_each(compare_arms, [replace(one, scorecards=tuple(cards)) for one, cards in carded], pairs_of, title="compare")
    return tuple(replace(result, comparisons=tuple(own)) for result, own in compared)


def _by_arm(evaluations: list[Evaluation]) -> Arms:
    return {arm: tuple(e for e in evaluations if e.arm == arm) for arm in dict.fromkeys(e.arm for e in evaluations)}


def _teacher(arms: Arms, baseline: str) -> tuple[Evaluation, ...]:
    """Return the teacher's evaluations where the baseline is the student alone: the gap between the two is what distillation closes."""
    return next((group for group in arms.values() if group[0].role == "teacher"), ()) if baseline == BASELINES[0] else ()


#: Arms that others are compared with, where a recipe has them: the student without a teacher, and plain soft labels.
BASELINES = ("alone", "kd")


def _pairs(arms: Arms) -> list[tuple[str, str]]:
    """Return which student arm is compared with which: each with the baselines before it, or with the arm before it if there is none."""
    students = [arm for arm, group in arms.items() if group[0].role == "student"]
    pairs = []
    for place, arm in enumerate(students[1:], 1):
        earlier = students[:place]
        pairs += [(arm, baseline) for baseline in ([a for a in BASELINES if a in earlier] or earlier[-1:])]
    return pairs
