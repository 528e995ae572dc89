"""Flow: every model is evaluated on every test cohort, arms get scorecards and are compared, students are calibrated, their losses stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flows.each import of_model, submit_each
from flows.orchestration import flow, task
from flows.prefect_artifacts import show_scorecards
from medkd.evaluation.calibrate import calibrate
from medkd.evaluation.case_results import collect_case_results
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.describe_training import describe_training
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.evaluation.loss_statement import state_loss
from medkd.recipe_calls.evaluation_calls import (
    by_arm,
    calibration_calls,
    card_calls,
    comparison_calls,
    evaluation_calls,
    loss_calls,
    results_calls,
    training_features_calls,
)
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

evaluate_one = task(evaluate_model, name="evaluate")
collect = task(collect_case_results)
score_arm = task(summarise, name="score-arm")
compare = task(compare_arms)
calibrate_student = task(calibrate)
describe_student = task(describe_training)
state_loss_of_student = task(state_loss)


@flow
def evaluate(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Evaluate the models of each recipe, summarise each arm (teacher first), and compare later arms with earlier ones.

    Students are then calibrated on validation patients, where there are any, features of their training cases are kept, and what each lost against
    its teacher is stated.
    """
    done = submit_each(
        evaluate_one,
        results,
        partial(evaluation_calls, workspace),
        title="evaluate",
        name_of=lambda one, call: of_model(one, call[3].arm, call[3].seed),
    )
    # Scorecards and comparisons need all seeds of an arm: only now is every one of them there.
    arms = {result.recipe.name: by_arm(evaluations) for result, evaluations in done}
    collected = submit_each(collect, results, lambda one: results_calls(workspace, one, arms[one.recipe.name]), title="results")
    carded = submit_each(score_arm, results, lambda one: card_calls(workspace, one, arms[one.recipe.name]), title="scorecards")
    compared = submit_each(
        compare,
        [replace(one, scorecards=tuple(cards), case_results=cases) for (one, cards), (_, (cases,)) in zip(carded, collected, strict=True)],
        lambda one: comparison_calls(workspace, one, arms[one.recipe.name]),
        title="compare",
    )
    calibrated = _calibrate(workspace, [replace(result, comparisons=tuple(own)) for result, own in compared])
    return _state_losses(workspace, _describe(workspace, calibrated))


def _calibrate(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    show_scorecards(results)
    calibrated = submit_each(
        calibrate_student,
        results,
        partial(calibration_calls, workspace),
        title="calibrate",
        name_of=lambda one, call: of_model(one, call[3].arm, call[3].seed),
    )
    return tuple(replace(result, calibrations=tuple(own)) for result, own in calibrated)


def _describe(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    described = submit_each(
        describe_student,
        results,
        partial(training_features_calls, workspace),
        title="training cases",
        name_of=lambda one, call: of_model(one, call[3].arm, call[3].seed),
    )
    return tuple(replace(result, training_features=tuple(own)) for result, own in described)


def _state_losses(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    stated = submit_each(
        state_loss_of_student,
        results,
        partial(loss_calls, workspace),
        title="losses",
        name_of=lambda one, call: of_model(one, call[2].subject.rpartition("/")[2], call[2].seed),
    )
    return tuple(replace(result, loss_statements=tuple(own)) for result, own in stated)
