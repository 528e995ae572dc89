"""What a student learns that sees no case, and what adversarial terms cost: ``python -m tests.benchmarks.data_free --json``, about five processor minutes.

``flows/recipes/data_free.yaml`` (phantom, two seeds, 400 test patients), with two more arms. Figures, differences paired with 95 % intervals over seeds and
patients (``_low``, ``_high``):

- ``auc_ARM``, ``accuracy_ARM``: ``alone`` (labels), ``kd`` (soft labels of real cases), ``data_free`` (of pictures synthesised from the teacher), ``noise`` (of what those
  began as: the control), ``adversarial`` (kd beside a discriminator of features), ``ard`` (adversarially robust distillation).
- ``robust_ARM``: accuracy on images changed against that very student, each voxel by at most .03 of [-1, 1], ten steps.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

import flows
from data_contracts import Checkpoint
from medkd.cohorts.open_cohort import open_for_training
from medkd.cohorts.prepare import prepare_cohorts
from medkd.distillation.ard import perturbed
from medkd.models._load import load_network
from medkd.recipe_calls.training_calls import student_calls, synthesis_calls, teacher_call
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace, local_workspace
from medkd.synthesis.synthesise_cohorts import synthesise_cohorts
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher
from tests.benchmarks.recipe_figures import figures_of

RECIPE = Path(flows.__file__).parent / "recipes" / "data_free.yaml"
EPSILON = 0.03
KD = {"loss": "logit_kd", "options": {"temperature": 4.0}}
MORE = {
    "arms.adversarial": {"terms": [KD, {"loss": "adversarial", "weight": 0.3}]},
    "arms.ard": {"terms": [KD, {"loss": "ard", "options": {"epsilon": EPSILON, "steps": 2}}]},
}
PAIRS = (("data_free", "noise"), ("data_free", "kd"), ("kd", "alone"), ("adversarial", "kd"), ("ard", "kd"))


def main() -> None:
    """Train, attack, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--run", type=Path, help="folder that keeps what was trained")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = local_workspace(given.run or Path(scratch) / "run")
        result = learned(workspace)
        figures = figures_of(result, workspace, {"auc": "auc_same_bias"}, PAIRS)
        figures |= attacked(workspace, result)
    figures = {name: round(float(value), 4) for name, value in figures.items() if not name.startswith("parameters")}
    figures["cpu_seconds"] = round(time.process_time() - began, 1)
    if not given.json:
        sys.stdout.write("\n".join(f"{name:36} {value}" for name, value in figures.items()) + "\n")
    sys.stdout.write(json.dumps({"figures": figures, "peers": {}, "n": result.recipe.data.test}) + "\n")


def learned(workspace: Workspace) -> RecipeResult:
    """Return the teacher, the pictures and the students."""
    recipe = read_recipe(RECIPE, MORE)
    result = RecipeResult(recipe, prepare_cohorts(workspace, recipe.cohorts(), ""))
    result = replace(result, teacher=train_teacher(*teacher_call(workspace, result)))
    for call in synthesis_calls(workspace, result):
        result = replace(result, cohorts=synthesise_cohorts(*call))
    return replace(result, students=tuple(distill(*call) for call in student_calls(workspace, result)))


def attacked(workspace: Workspace, result: RecipeResult) -> dict[str, float]:
    """Return accuracy on the test images, and on those changed against each student; means over seeds."""
    cohort = open_for_training(result.cohorts, "test", workspace.store, result.recipe.task)
    found: dict[str, list[float]] = {}
    for checkpoint in (result.teacher, *result.students):
        assert isinstance(checkpoint, Checkpoint)
        network = load_network(workspace, checkpoint).eval()
        # Certain of the label: what is left is cross-entropy.
        certain = 20.0 * torch.nn.functional.one_hot(cohort.labels, len(result.recipe.task.classes))
        changed = perturbed(network, cohort.images, certain, epsilon=EPSILON, steps=10)
        for name, images in (("accuracy", cohort.images), ("robust", changed)):
            with torch.no_grad():
                right = (network(images).argmax(1) == cohort.labels).float().mean()
            found.setdefault(f"{name}_{checkpoint.arm}", []).append(float(right))
    return {name: sum(values) / len(values) for name, values in found.items()}


if __name__ == "__main__":
    main()
