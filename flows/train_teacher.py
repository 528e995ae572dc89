"""Flow: teachers are trained, then judged; an unfit teacher stops the run here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flows.each import submit_each
from flows.orchestration import flow, task
from flows.prefect_artifacts import show_gate
from flows.task_text import training_text
from medkd.evaluation.gate_teacher import judge_teacher, require_fit_teacher
from medkd.recipe_calls import gate_call, teacher_call
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training import train

teach = task(train.train_teacher, name="train-teacher", said=training_text, trains=True)
judge = task(judge_teacher)


@flow
def train_teacher(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Train the teacher of each recipe and let the gate judge it.

    Raises:
        TeacherGateError: when an enforced gate fails.
    """
    trained = submit_each(teach, results, lambda one: [teacher_call(workspace, one)], title="teachers")
    with_teachers = tuple(replace(result, teacher=teacher) for result, (teacher,) in trained)
    gated = submit_each(judge, with_teachers, lambda one: [gate_call(workspace, one)], title="teacher gate")
    for result, (verdict,) in gated:
        show_gate(result.recipe.name, verdict)
        require_fit_teacher(verdict)
    return with_teachers
