"""Flow: teachers are trained, then judged; an unfit teacher stops the run here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flows.each import run_each
from flows.engine import orchestrated
from medkd.evaluation.gate_teacher import judge_teacher, require_fit_teacher
from medkd.recipe_calls import gate_call, teacher_call
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training import train


@orchestrated
def train_teacher(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Train the teacher of each recipe and let the gate judge it.

    Raises:
        TeacherGateError: when an enforced gate fails.
    """
    trained = run_each(train.train_teacher, results, lambda one: [teacher_call(workspace, one)], title="teachers")
    with_teachers = tuple(replace(result, teacher=teacher) for result, (teacher,) in trained)
    gated = run_each(
        judge_teacher,
        with_teachers,
        lambda one: [gate_call(workspace, one)],
        title="teacher gate",
    )
    for _, (verdict,) in gated:
        require_fit_teacher(verdict)
    return with_teachers
