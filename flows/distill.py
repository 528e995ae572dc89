"""Flow: every arm of every recipe is trained under every seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flows.each import run_each
from flows.engine import orchestrated
from medkd.recipe_calls import student_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training import train


@orchestrated
def distill(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Train the students of each recipe, in the order of its arms and then of its seeds."""
    trained = run_each(
        train.distill,
        results,
        partial(student_calls, workspace),
        title="students",
        name_of=lambda _, call: f"{call[1].recipe} {call[1].arm}-{call[1].seed}",
    )
    return tuple(replace(result, students=tuple(students)) for result, students in trained)
