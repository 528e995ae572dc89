"""What the benchmarks of recipes share: a recipe trained and compared in a folder of its own, and figures by name with their bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import flows
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.recipe_calls.evaluation_calls import by_arm, card_calls, evaluation_calls
from medkd.recipe_calls.training_calls import student_calls, teacher_call
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training.objective import Objective
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher


def trained(name: str, workspace: Workspace, arms: tuple[str, ...] = ()) -> RecipeResult:
    """Return what training the teacher, where an arm asks one, and the students of a shipped recipe leaves; of all its arms where none is named."""
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / name, {})
    if arms:
        recipe = recipe.model_copy(update={"arms": {arm: recipe.arms[arm] for arm in arms}})
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, workspace.data_root))
    result = RecipeResult(recipe, cohorts)
    if any("teacher" in Objective(arm.terms).needs for arm in recipe.arms.values()):
        result = replace(result, teacher=train_teacher(*teacher_call(workspace, result)))
    return replace(result, students=tuple(distill(*call) for call in student_calls(workspace, result)))


def figures_of(result: RecipeResult, workspace: Workspace, wanted: dict[str, str], pairs: tuple[tuple[str, str], ...]) -> dict[str, float]:
    """Return the figures of every arm, ``SHORT_ARM`` by ``wanted`` (short name to the scorecard's), and differences ``ARM_minus_ARM`` of the first."""
    arms = by_arm(evaluate_model(*call) for call in evaluation_calls(workspace, result))
    found: dict[str, float] = {}
    for call in card_calls(workspace, result, arms):
        card = summarise(*call)
        arm = card.subject.rpartition("/")[2]
        for short, name in wanted.items():
            if name in card.figures:
                found[f"{short}_{arm}"] = card.figures[name].mean
        found[f"parameters_{arm}"] = card.parameters
    for arm, baseline in pairs:
        compared = compare_arms(
            workspace, result.cohorts, arms[arm], arms[baseline], arms["teacher"] if baseline == "alone" else ()
        ).figures
        for short, name in wanted.items():
            if name in compared:
                prefix = f"{short}_{arm}_minus_{baseline}"
                found |= bounded(prefix, compared[name])
            closure = compared.get(f"gap_closure_{name}")
            if closure is not None:
                found |= bounded(f"gap_closure_{short}_{arm}", closure)
    return found


def bounded(name: str, estimate) -> dict[str, float]:
    """Return a figure and the bounds of its interval by their names."""
    return {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def show(figures: dict[str, float], as_json: bool) -> None:
    """Print figures, one a line or as JSON."""
    rounded = {name: round(float(value), 4) for name, value in figures.items()}
    print(json.dumps(rounded) if as_json else "\n".join(f"{name:44} {value}" for name, value in rounded.items()))
