"""Flow: teachers are trained, or brought from a registry, then judged; an unfit teacher stops the run here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flows.each import submit_each
from flows.orchestration import flow, task
from flows.prefect_artifacts import show_gate
from flows.task_text import training_text
from medkd.evaluation.gate_teacher import judge_teacher, require_fit_teacher
from medkd.recipe_calls import gate_call, teacher_call
from medkd.registry.adopt_teacher import registered_teacher
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training import train

teach = task(train.train_teacher, name="train-teacher", said=training_text, trains=True)
judge = task(judge_teacher)
adopt = task(registered_teacher, name="registered-teacher")


@flow
def train_teacher(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Train the teacher of each recipe, or take the registered one that it names, and let the gate judge it.

    Raises:
        TeacherGateError: when an enforced gate fails.
    """
    with_teachers = with_teacher(workspace, results)
    gated = submit_each(judge, with_teachers, lambda one: [gate_call(workspace, one)], title="teacher gate")
    for result, (verdict,) in gated:
        show_gate(result.recipe.name, verdict)
        require_fit_teacher(verdict)
    return with_teachers


def with_teacher(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Return each result with its teacher: a registered one where the recipe names it, one that is trained otherwise."""
    named = {one.recipe.name for one in results if one.recipe.teacher.registered is not None}
    untrained = [one for one in results if one.recipe.name in named]
    found = submit_each(adopt, untrained, lambda one: [(workspace, one.recipe)], title="registered teachers") if untrained else ()
    others = [one for one in results if one.recipe.name not in named]
    trained = submit_each(teach, others, lambda one: [teacher_call(workspace, one)], title="teachers") if others else ()
    teachers = {result.recipe.name: teacher for part in (found, trained) for result, (teacher,) in part}
    return tuple(replace(result, teacher=teachers[result.recipe.name]) for result in results)
