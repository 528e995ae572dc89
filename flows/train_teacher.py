"""Flow: teachers are trained, then judged; an unfit teacher stops the run here."""

from __future__ import annotations

from data_contracts import Checkpoint, CohortSet, Recipe
from flows.engine import orchestrated, run_all
from medkd.evaluation.gate_teacher import judge_teacher, require_fit_teacher
from medkd.storage.workspace import Workspace
from medkd.training import train


@orchestrated
def train_teacher(workspace: Workspace, recipes: tuple[Recipe, ...], cohorts: tuple[CohortSet, ...]) -> tuple[Checkpoint, ...]:
    """Train the teacher of each recipe and let the gate judge it.

    Raises:
        TeacherRefused: when an enforced gate fails.
    """
    pairs = list(zip(recipes, cohorts, strict=True))
    trained = [(workspace, recipe.teacher_training(), own) for recipe, own in pairs]
    names = [recipe.name for recipe in recipes]
    teachers = run_all(train.train_teacher, trained, title="teachers", names=names)
    calls = [(workspace, recipe.name, recipe.teacher.gate, own, teacher) for (recipe, own), teacher in zip(pairs, teachers, strict=True)]
    for verdict in run_all(judge_teacher, calls, title="teacher gate", names=names):
        require_fit_teacher(verdict)
    return tuple(teachers)
