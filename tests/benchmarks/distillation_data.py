"""Teacher and student that do not see the same: a class without labels, another sequence, a clinical row. What does the teacher's answer carry over?

``python -m tests.benchmarks.distillation_data --json`` trains the three recipes ``flows/recipes/zero_shot_class.yaml``, ``cross_modality.yaml`` and
``privileged_row.yaml`` on fewer cases (``--run FOLDER`` keeps what was trained; ``--whole`` takes the recipes as they are). Differences are paired: 95 %
intervals, seeds and patients crossed. Each figure has ``_low`` and ``_high``.

- ``hidden_recall_ARM``, ``hidden_auc_ARM``: of the class that no label of the students shows; ``hidden_shifted_recall_kd`` with its bias put right on
  the teacher's validation cases without a label of them; ``hidden_auc_kd_minus_alone``, ``hidden_auc_kd_unlabelled_minus_alone``.
- ``modality_dice_teacher``, ``modality_dice_alone``, ``modality_kd_minus_alone``, ``modality_kd_unlabelled_minus_alone``: the student sees the plain sequence.
- ``row_auc_teacher``, ``row_auc_alone``, ``row_kd_minus_alone``, ``row_kd_minus_image_teacher`` and the same with unlabelled cases: what
  the row gives is the difference to the same teacher without it.
- ``harmed``: how many of the arms have an interval against the student alone that lies below zero.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import flows
import medkd
from data_contracts import Estimate, Evaluation
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.recipe_calls.evaluation_calls import by_arm, evaluation_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace, local_workspace

RECIPES = Path(flows.__file__).parent / "recipes"
#: Few enough cases for minutes of one core.
SMALL: dict[str, dict[str, Any]] = {
    "zero_shot_class": {
        "data.teacher": 480,
        "data.student": 300,
        "data.test": 300,
        "data.teacher_validation": 150,
        "student.fit.epochs": 6,
    },
    "cross_modality": {
        "data.teacher": 320,
        "data.unlabelled": 192,
        "data.test": 150,
        "data.teacher_validation": 60,
        "student.fit.epochs": 5,
        "student.fit.samples_per_epoch": 192,
    },
    "privileged_row": {
        "data.teacher": 400,
        "data.unlabelled": 160,
        "data.test": 240,
        "data.teacher_validation": 60,
        "teacher.fit.epochs": 5,
        "teachers.image_alone.fit.epochs": 5,
        "student.fit.epochs": 4,
        "student.fit.samples_per_epoch": 160,
    },
}


def main() -> None:
    """Train, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--run", type=Path, help="folder that keeps what was trained")
    parser.add_argument("--whole", action="store_true", help="the recipes as they are")
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, float] = {"harmed": 0.0}
    patients = 0
    with tempfile.TemporaryDirectory() as scratch:
        began = time.process_time()
        for name, figures_of in (("zero_shot_class", hidden), ("cross_modality", modality), ("privileged_row", row)):
            folder = (given.run or Path(scratch)) / name
            overrides = {"teacher.gate.enforce": False} | ({} if given.whole else SMALL[name])
            overrides |= {"teachers.image_alone.gate.enforce": False} if name == "privileged_row" else {}
            result = medkd.distill(RECIPES / f"{name}.yaml", folder, overrides=overrides, data_root=folder, register=False)
            judged = Judged(result, local_workspace(folder.resolve(), data_root=folder))
            for key, figure in figures_of(judged).items():
                figures |= {key: round(figure.mean, 4), f"{key}_low": round(figure.low, 4), f"{key}_high": round(figure.high, 4)}
            figures["harmed"] += judged.harmed()
            patients += result.scorecards[0].figures[judged.main].n
    figures["cpu_seconds"] = round(time.process_time() - began, 1)
    if not given.json:
        sys.stdout.write(table(figures) + "\n")
    sys.stdout.write(json.dumps({"figures": figures, "peers": {}, "n": patients}) + "\n")


class Judged:
    """Evaluations of a recipe's arms: remembered by the run, nothing is evaluated again."""

    def __init__(self, result: RecipeResult, workspace: Workspace) -> None:
        self.result, self.workspace = result, workspace
        self.arms: Mapping[str, tuple[Evaluation, ...]] = by_arm(evaluate_model(*call) for call in evaluation_calls(workspace, result))
        cards = {card.subject.rpartition("/")[2]: card for card in result.scorecards}
        self.main = next(name for name in ("dice", "auc", "auc_same_bias") if name in cards["alone"].figures)
        self.cards = cards

    def of(self, arm: str, figure: str = "") -> Estimate:
        """Return a figure of an arm, or of a teacher; by default the main one."""
        if arm not in self.cards:
            self.cards[arm] = summarise(self.workspace, self.result.recipe.name, self.result.cohorts, self.arms[arm])
        return self.cards[arm].figures[figure or self.main]

    def minus(self, arm: str, baseline: str, figure: str = "") -> Estimate:
        """Return how much larger a figure of one arm is than another's."""
        return compare_arms(self.workspace, self.result.cohorts, self.arms[arm], self.arms[baseline]).figures[figure or self.main]

    def harmed(self) -> int:
        """Return how many arms are worse than the student alone beyond their interval."""
        return sum(self.minus(arm, "alone").high < 0 for arm in self.result.recipe.arms if arm != "alone")


def hidden(judged: Judged) -> dict[str, Estimate]:
    """Return what students say of the class that their labels never show."""
    arms = ("alone", "kd", "kd_unlabelled")
    found = {f"hidden_recall_{arm}": judged.of(arm, "recall_cyst") for arm in arms}
    found |= {f"hidden_auc_{arm}": judged.of(arm, "auc_cyst") for arm in arms}
    found |= {f"hidden_shifted_recall_{arm}": judged.of(arm, "shifted_recall_cyst") for arm in arms}
    found |= {f"hidden_shifted_recall_{name}_kd": judged.of("kd", f"shifted_recall_{name}") for name in ("benign", "malignant")}
    return found | {f"hidden_auc_{arm}_minus_alone": judged.minus(arm, "alone", "auc_cyst") for arm in arms[1:]}


def modality(judged: Judged) -> dict[str, Estimate]:
    """Return what a teacher that sees the enhanced sequence gives to students that see the plain one."""
    found = {f"modality_dice_{arm}": judged.of(arm) for arm in ("teacher", "alone")}
    return found | {f"modality_{arm}_minus_alone": judged.minus(arm, "alone") for arm in ("kd", "kd_unlabelled")}


def row(judged: Judged) -> dict[str, Estimate]:
    """Return what a clinical row at the teacher gives to students that never see it."""
    found = {f"row_auc_{arm}": judged.of(arm) for arm in ("teacher", "alone")}
    for suffix in ("", "_unlabelled"):
        found[f"row_kd{suffix}_minus_alone"] = judged.minus(f"kd{suffix}", "alone")
        found[f"row_kd{suffix}_minus_image_teacher"] = judged.minus(f"kd{suffix}", f"kd_image_teacher{suffix}")
    return found


def table(figures: Mapping[str, float]) -> str:
    """Return the figures as Markdown."""
    lines = ["| figure | mean | 95 % interval | |", "|---|---|---|---|"]
    for name, value in figures.items():
        if f"{name}_low" not in figures:
            continue
        low, high = figures[f"{name}_low"], figures[f"{name}_high"]
        said = "" if "_minus_" not in name else "harm" if high < 0 else "gain" if low > 0 else "none shown"
        lines.append(f"| {name} | {value} | {low} to {high} | {said} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
