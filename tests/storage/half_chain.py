"""One half of a chain in a process of its own, as on a machine of its own: ``python -m tests.storage.half_chain HALF FOLDER``.

The first half makes cohorts and trains the teacher; the second, in another folder, asks for the same and goes on to a student, whose digests it
prints with how often each stage ran here.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import flows
from medkd.cohorts.prepare import prepare_cohorts
from medkd.evaluation.gate_teacher import judge_teacher
from medkd.recipe_calls.training_calls import gate_call, student_calls, teacher_call
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher

SMALL = {
    "data.teacher": 32, "data.teacher_validation": 32, "data.student": 32, "data.test": 32, "data.debiased": 32, "data.reversed": 32,
    "data.marker_pairs": 8, "seeds": [0], "teacher.fit.epochs": 1, "student.fit.epochs": 1, "teacher.gate.enforce": False,
    "student.network.options.channels": [4, 4, 4, 4], "teacher.network.options.channels": [4, 4, 4, 4],
}  # fmt: skip


def main(half: str, folder: Path) -> dict[str, object]:
    """Do a half and return what came of it."""
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml", SMALL)
    workspace = local_workspace(folder)
    result = RecipeResult(recipe, prepare_cohorts(workspace, recipe.cohorts(), ""))
    found = {"cohorts": result.cohorts.digest()}
    teacher = train_teacher(*teacher_call(workspace, result))
    found["teacher"] = teacher.weights_digest
    if half == "second":
        result = RecipeResult(recipe, result.cohorts, teacher)
        found["gate"] = judge_teacher(*gate_call(workspace, result)).digest()
        found["student"] = distill(*student_calls(workspace, result)[0]).weights_digest
    started = (folder / "stages" / "begun.log").read_text().splitlines()
    return {**found, "ran": dict(Counter(line.rpartition("-")[0] for line in started))}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], Path(sys.argv[2]))) + "\n")
