"""Flow: every arm of every recipe is trained under every seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flows.each import of_model, submit_each
from flows.orchestration import flow, task
from flows.task_text import training_text
from medkd.recipe_calls import student_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training import train

distill_student = task(train.distill, name="distill", said=training_text, trains=True)


@flow
def distill(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Train the students of each recipe, in the order of its arms and then of its seeds."""
    trained = submit_each(
        distill_student,
        results,
        partial(student_calls, workspace),
        title="students",
        name_of=lambda one, call: of_model(one, call[1].arm, call[1].seed),
    )
    return tuple(replace(result, students=tuple(students)) for result, students in trained)
