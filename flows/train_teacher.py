"""Flow: teachers are trained, or brought from a registry, then judged; an unfit teacher stops the run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from data_contracts import teacher_rounds
from flows.each import of_model, submit_each
from flows.orchestration import flow, submit_all, task
from flows.prefect_artifacts import show_gate
from flows.task_text import training_text
from medkd.evaluation.gate_teacher import judge_teacher, require_fit_teacher
from medkd.recipe_calls.training_calls import Call, further_teacher_calls, gate_call, say_stopped, teacher_call
from medkd.registry.adopt_teacher import registered_teacher
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training import train

teach = task(train.train_teacher, name="train-teacher", said=training_text, trains=True)
judge = task(judge_teacher)
adopt = task(registered_teacher, name="registered-teacher")


@flow
def train_teacher(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Train the teachers of each recipe, or take the registered one that it names, and let the gate judge every network of them.

    Raises:
        TeacherGateError: when an enforced gate fails of the teacher that students are measured by; of a further one, when no arm is left.
    """
    with_teachers = with_teacher(workspace, results)
    gated = submit_each(judge, with_teachers, lambda one: [gate_call(workspace, one)], title="teacher gate")
    for result, (verdict,) in gated:
        show_gate(result.recipe.name, verdict)
        require_fit_teacher(verdict)
    judged = tuple(replace(result, verdicts=(verdict,)) for result, (verdict,) in gated)
    return tuple(train_further_teachers(workspace, result) for result in judged)


def train_further_teachers(workspace: Workspace, result: RecipeResult) -> RecipeResult:
    """Train and judge a recipe's further teachers, those that learn from another after it; arms that ask a refused one are said in the log.

    Raises:
        TeacherGateError: when no arm is left.
    """
    for number in range(len(teacher_rounds(result.recipe))):
        calls = further_teacher_calls(workspace, result, number)
        trained = submit_all(teach, calls, title="further teachers", names=[of_model(result, spec.arm, spec.seed) for _, spec, *_ in calls])
        result = replace(result, teachers=(*result.teachers, *trained))
        gated = submit_all(judge, [gate_call(workspace, result, one) for one in trained], title="teacher gate")
        for verdict in gated:
            show_gate(result.recipe.name, verdict)
        result = replace(result, verdicts=(*result.verdicts, *gated))
    say_stopped(result)
    return result


def with_teacher(
    workspace: Workspace, results: Sequence[RecipeResult], calls_of: Callable[[RecipeResult], Sequence[Call]] | None = None
) -> tuple[RecipeResult, ...]:
    """Return each result with its teacher: a registered one where the recipe names it, one that is trained otherwise.

    Args:
        workspace: where files go.
        results: in any order.
        calls_of: arguments of ``train_teacher`` of a result; by default those of its recipe.
    """
    registered = [one for one in results if one.recipe.teacher.registered is not None]
    others = [one for one in results if one.recipe.teacher.registered is None]
    brought = submit_each(adopt, registered, lambda one: [(workspace, one.recipe)], title="registered teachers") if registered else []
    trained = submit_each(teach, others, calls_of or (lambda one: [teacher_call(workspace, one)]), title="teachers") if others else []
    # Each in the order of its own results.
    ready = {True: iter(brought), False: iter(trained)}
    found = [(one, next(ready[one.recipe.teacher.registered is not None])[1]) for one in results]
    return tuple(replace(one, teacher=teacher) for one, (teacher,) in found)
