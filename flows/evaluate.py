"""Flow: every model is evaluated on every test cohort, arms get scorecards and are compared."""

from __future__ import annotations

from dataclasses import dataclass

from data_contracts import Checkpoint, CohortSet, Comparison, Evaluation, Recipe, Scorecard
from flows.engine import orchestrated, run_all
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.storage.workspace import Workspace


@dataclass(frozen=True)
class Judged:
    """What one recipe's models were measured to do: a scorecard per arm (teacher first), later arms against earlier ones."""

    scorecards: tuple[Scorecard, ...]
    comparisons: tuple[Comparison, ...]


@orchestrated
def evaluate(
    workspace: Workspace, recipes: tuple[Recipe, ...], cohorts: tuple[CohortSet, ...], models: tuple[tuple[Checkpoint, ...], ...]
) -> tuple[Judged, ...]:
    """Evaluate the models of each recipe; ``models`` holds the teacher first, then the students."""
    calls = [(workspace, r.name, c, model, own[0]) for r, c, own in zip(recipes, cohorts, models, strict=True) for model in own]
    names = [f"{recipe} {model.arm}-{model.seed}" for _, recipe, _, model, _ in calls]
    done = iter(run_all(evaluate_model, calls, title="evaluate", names=names))
    groups = [_by_arm([next(done) for _ in own]) for own in models]
    cards = [(workspace, r.name, c, arm) for r, c, arms in zip(recipes, cohorts, groups, strict=True) for arm in arms.values()]
    scorecards = iter(run_all(summarise, cards, title="scorecards"))
    pairs = [(workspace, c, arms[a], arms[b], _teacher(arms, b)) for c, arms in zip(cohorts, groups, strict=True) for a, b in _pairs(arms)]
    comparisons = iter(run_all(compare_arms, pairs, title="compare"))
    return tuple(Judged(tuple(next(scorecards) for _ in arms), tuple(next(comparisons) for _ in _pairs(arms))) for arms in groups)


def _by_arm(evaluations: list[Evaluation]) -> dict[str, tuple[Evaluation, ...]]:
    return {arm: tuple(e for e in evaluations if e.arm == arm) for arm in dict.fromkeys(e.arm for e in evaluations)}


def _teacher(arms: dict[str, tuple[Evaluation, ...]], baseline: str) -> tuple[Evaluation, ...]:
    """Return the teacher's evaluations where the baseline is the student alone: the gap between the two is what distillation closes."""
    return next((group for group in arms.values() if group[0].role == "teacher"), ()) if baseline == BASELINES[0] else ()


#: Arms that others are compared with, where a recipe has them: the student without a teacher, and plain soft labels.
BASELINES = ("alone", "kd")


def _pairs(arms: dict[str, tuple[Evaluation, ...]]) -> list[tuple[str, str]]:
    """Return which student arm is compared with which: each with the baselines before it, or with the arm before it if there is none."""
    students = [arm for arm, group in arms.items() if group[0].role == "student"]
    pairs = []
    for place, arm in enumerate(students[1:], 1):
        earlier = students[:place]
        pairs += [(arm, baseline) for baseline in ([a for a in BASELINES if a in earlier] or earlier[-1:])]
    return pairs
