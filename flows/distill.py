"""Flow: every arm of every recipe is trained under every seed, from weights of before where it asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from data_contracts import student_rounds
from flows.each import Call, of_model, submit_each
from flows.orchestration import flow, task
from flows.synthesise import with_pictures
from flows.task_text import training_text
from medkd.recipe_calls.training_calls import in_order, starting_calls, student_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training import train
from medkd.training.starting_weights import starting_weights

distill_student = task(train.distill, name="distill", said=training_text, trains=True)

begin = task(starting_weights, name="starting-weights")


@flow
def distill(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Train the students of each recipe; an arm whose teacher is another arm's student comes after that."""
    done = with_starts(workspace, with_pictures(workspace, results))
    for number in range(max(len(student_rounds(result.recipe)) for result in done)):
        trained = submit_each(
            distill_student,
            done,
            partial(_calls, workspace, number),
            title="students",
            name_of=lambda one, call: of_model(one, call[1].arm, call[1].seed),
        )
        done = tuple(replace(result, students=(*result.students, *students)) for result, students in trained)
    return tuple(replace(result, students=in_order(result.recipe, result.students)) for result in done)


def _calls(workspace: Workspace, number: int, result: RecipeResult) -> list[Call]:
    """Return the calls of a recipe's round, none of one that has fewer."""
    return student_calls(workspace, result, number) if number < len(student_rounds(result.recipe)) else []


def with_starts(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Return each result with the weights that its students begin with; as it is where all begin at random."""
    asking = [one for one in results if starting_calls(workspace, one) and not one.starts]
    found = submit_each(begin, asking, partial(starting_calls, workspace), title="starting weights") if asking else ()
    starts = {result.recipe.name: tuple(weights) for result, weights in found}
    return tuple(replace(one, starts=starts.get(one.recipe.name, one.starts)) for one in results)
