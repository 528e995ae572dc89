"""What the training of a recipe's teacher costs in a process of its own: ``python trained_teacher.py FOLDER`` < RECIPE."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from data_contracts import Recipe, TrainingCost, read_record


def cost_of_the_teacher(recipe, folder):
    done = subprocess.run(
        [sys.executable, __file__, str(folder)], input=recipe.canonical_json().decode(), capture_output=True, text=True, check=True
    )
    return TrainingCost.model_validate_json(done.stdout.splitlines()[-1])


def main():
    import torch

    from medkd.cohorts.prepare import prepare_cohorts, source_digest
    from medkd.storage.workspace import local_workspace
    from medkd.training.train import train_teacher

    torch.set_num_threads(1)
    recipe, workspace = read_record(sys.stdin.read(), Recipe), local_workspace(Path(sys.argv[1]))
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, workspace.data_root))
    sys.stdout.write(train_teacher(workspace, recipe.teacher_training(), cohorts).cost.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
