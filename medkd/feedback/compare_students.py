"""The student before, one of the same budget without feedback, and the one that feedback taught, on the recipe's tests and on reviewed studies."""

from __future__ import annotations

from collections.abc import Mapping

from data_contracts import (
    AttentionValues,
    Checkpoint,
    Evaluation,
    FeedbackDirectives,
    FeedbackPart,
    Redistillation,
    RedistilledStudent,
)
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model
from medkd.feedback.attention import Attention, measure_attention
from medkd.feedback.gate import Compared, Other, judge
from medkd.feedback.next_student import explainer_in
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

#: The parts that figures are given for, by name.
PARTS: dict[str, tuple[FeedbackPart, ...]] = {"train": ("train",), "eval": ("eval",), "all": ("train", "eval")}
OTHERS: tuple[Other, ...] = ("before", "control")


def compare_students(workspace: Workspace, students: Mapping[str, RecipeResult], directives: FeedbackDirectives) -> Redistillation:
    """Return the three students side by side and the verdict of the gate. What was measured before is taken from there.

    Args:
        workspace: where cohorts and weights lie.
        students: results of ``before``, ``control`` and ``after``, of one arm each and evaluated.
        directives: that ``after`` followed.
    """
    recipe = students["after"].recipe
    (arm,) = recipe.arms
    explainer = explainer_in(recipe.arms[arm])
    evaluations = {name: _evaluations(workspace, result) for name, result in students.items()}
    maps = {
        name: [measure_attention(workspace, one, result.cohorts, directives, explainer) for one in result.students]
        for name, result in students.items()
    }
    compared = {
        other: Compared(
            compare_arms(workspace, students["after"].cohorts, evaluations["after"], evaluations[other]),
            Attention(maps["after"], PARTS["eval"]),
            Attention(maps[other], PARTS["eval"]),
        )
        for other in OTHERS
    }
    return Redistillation(
        recipe=recipe.name,
        arm=arm,
        directives=directives.digest(),
        students={name: _student(result, arm, maps[name]) for name, result in students.items()},
        differences={other: one.differences() for other, one in compared.items()},
        verdict=judge(f"{recipe.name}/{arm}", compared),
    )


def _evaluations(workspace: Workspace, result: RecipeResult) -> tuple[Evaluation, ...]:
    """Return what the recipe's tests gave of each seed, measured beside the teacher as flows do."""
    beside: Checkpoint = result.evaluated[0]
    return tuple(evaluate_model(workspace, result.recipe.name, result.cohorts, one, beside) for one in result.students)


def _student(result: RecipeResult, arm: str, maps: list[AttentionValues]) -> RedistilledStudent:
    card = next(one for one in result.scorecards if one.subject == f"{result.recipe.name}/{arm}")
    return RedistilledStudent(
        weights_digests=tuple(one.weights_digest for one in result.students),
        scorecard=card,
        attention={name: Attention(maps, parts).figures() for name, parts in PARTS.items()},
    )
