"""One student for two tasks against two students of one task each: ``python -m tests.benchmarks.multi_task --json``, some minutes on one core.

The recipe ``multi_task.yaml`` (phantom). The single-task students learn from the same labels, as often, and have together as many parameters as
the student that does both; all are trained without a teacher. ``dice_multi_minus_single`` and ``auc_multi_minus_single`` are paired differences
with 95 % intervals over seeds and patients; ``dice_kd_minus_alone`` and the like say what the teacher with both heads adds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from data_contracts import LossTerm, Network, TrainingSpec
from medkd.cohorts.prepare import prepare_cohorts
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace, local_workspace
from medkd.training.train import distill
from tests.benchmarks.recipe_figures import bounded, figures_of, show, trained

WANTED = {"dice": "dice", "auc": "auc", "mass": "relevance_mass_accuracy", "mass_classification": "classification_relevance_mass_accuracy"}
PAIRS = (("kd", "alone"), ("kd_explanation", "kd"), ("kd_uncertainty", "kd"))
#: Networks of the single-task students: 5.8 k parameters each beside 11.9 k.
SINGLE = {
    "segmentation": Network(builder="unet", options={"channels": (4, 6, 10, 14), "head_features": 4}),
    "classification": Network(builder="resnet", options={"channels": (4, 6, 10, 14)}),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--arms", default="alone,kd", help="arms of the recipe, alone among them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = local_workspace(Path(folder))
        result = trained("multi_task.yaml", workspace, tuple(given.arms.split(",")))
        figures = figures_of(
            result, workspace, WANTED, tuple(pair for pair in PAIRS if set(pair) <= set(result.recipe.arms))
        ) | against_single(result, workspace)
    show(figures, given.json)


def against_single(result: RecipeResult, workspace: Workspace) -> dict[str, float]:
    """Return how the student of both tasks does beside students of one, with the same labels."""
    found: dict[str, float] = {}
    both = tuple(evaluate_model(workspace, result.recipe.name, result.cohorts, one, one) for one in result.students if one.arm == "alone")
    for kind, figure in (("segmentation", "dice"), ("classification", "auc")):
        task = result.recipe.task.without_cases() if kind == "segmentation" else result.recipe.task.of_cases()
        recipe_name = f"{result.recipe.name}-{kind}"
        cohorts = prepare_cohorts(workspace, result.recipe.cohorts().model_copy(update={"name": recipe_name, "task": task}), "")
        single = []
        for seed in result.recipe.seeds:
            spec = _alone(result.recipe.student_training("alone", seed), recipe_name, kind)
            student = distill(workspace, spec.model_copy(update={"task": task}), cohorts, None)
            found[f"parameters_single_{kind}"] = student.parameters
            single.append(evaluate_model(workspace, recipe_name, cohorts, student, student))
        compared = compare_arms(workspace, result.cohorts, both, tuple(single)).figures
        found |= bounded(f"{figure}_multi_minus_single", compared[figure])
    return found


def _alone(spec: TrainingSpec, recipe: str, kind: str) -> TrainingSpec:
    objective = spec.objective.model_copy(update={"terms": (LossTerm(loss="cross_entropy"),)})
    return spec.model_copy(update={"recipe": recipe, "network": SINGLE[kind], "objective": objective})


if __name__ == "__main__":
    main()
