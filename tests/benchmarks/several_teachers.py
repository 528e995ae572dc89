"""Who should teach? One table of paired differences between students that had one teacher, several, folds of one, an assistant, a peer, or themselves.

``python -m tests.benchmarks.several_teachers --json`` trains ``flows/recipes/several_teachers.yaml`` on fewer cases (``--run FOLDER`` keeps
what was trained; ``--whole`` takes the recipe as it is). Each row is the AUC of one arm less another's on the test patients, with a 95 % percentile
interval over seeds and patients resampled together. The best single teacher is chosen on the gate's cases, never on the test.

- ``mixture_minus_best_single``, ``confidence_minus_mean``, ``validation_minus_mean``, ``folds_minus_one``, ``assistant_minus_kd``: several against one.
- ``online_minus_offline``: two students that learn from each other against one that learns from a trained teacher.
- ``fine_tuned_minus_alone``, ``kd_minus_fine_tuned``: the control, a student that fills in hidden parts of its own images first and has no teacher.
- ``self_minus_alone``, ``ema_minus_alone``, ``kd_minus_alone``: no other teacher, or one, against none. Each figure has ``_low`` and ``_high``.
- ``harmed``: arms whose interval against the student alone lies below zero.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

import flows
import medkd
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.evaluate import evaluate_model
from medkd.recipe_calls.evaluation_calls import by_arm, evaluation_calls
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import local_workspace

RECIPE = Path(flows.__file__).parent / "recipes" / "several_teachers.yaml"
#: Few enough cases for minutes of one core.
SMALL = {
    "data.teacher": 480,
    "data.teacher_validation": 150,
    "data.student": 192,
    "data.test": 300,
    **{f"teachers.{name}.gate.enforce": False for name in ("second", "weak", "folds", "assistant")},
    "teacher.gate.enforce": False,
}
#: Name of a figure, and the arms whose difference it is; the best single teacher's arm is filled in.
ROWS = {
    "mixture_minus_best_single": ("mixture", ""),
    "confidence_minus_mean": ("confidence", "mixture"),
    "validation_minus_mean": ("validation", "mixture"),
    "folds_minus_one": ("folds", "kd"),
    "assistant_minus_kd": ("assistant", "kd"),
    "online_minus_offline": ("peer", "kd"),
    "kd_minus_alone": ("kd", "alone"),
    "self_minus_alone": ("born_again", "alone"),
    "ema_minus_alone": ("ema", "alone"),
    "fine_tuned_minus_alone": ("fine_tuned", "alone"),
    "kd_minus_fine_tuned": ("kd", "fine_tuned"),
}


def main() -> None:
    """Train, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--run", type=Path, help="folder that keeps what was trained")
    parser.add_argument("--whole", action="store_true", help="the recipe as it is")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder, began = given.run or Path(scratch) / "run", time.process_time()
        result = medkd.distill(RECIPE, folder, overrides={} if given.whole else SMALL, data_root=folder, register=False)
        figures = compared(result, folder)
    figures |= {"seeds": len(result.recipe.seeds), "cpu_seconds": round(time.process_time() - began, 1)}
    if not given.json:
        sys.stdout.write(table(figures) + "\n")
    peers = {name: figures.pop(name) for name in ("auc", "best_single", "harmed")}
    n = result.scorecards[0].figures[figure_of(result)].n
    sys.stdout.write(json.dumps({"figures": figures, "peers": peers, "n": n}) + "\n")


def figure_of(result: RecipeResult) -> str:
    """Return the name of the AUC: with one test cohort it is called so, with several the one of the cases' own kind counts."""
    return next(name for name in ("auc", "auc_same_bias") if name in result.scorecards[0].figures)


def compared(result: RecipeResult, folder: Path) -> dict[str, object]:
    """Return every row's figure with its interval, each arm's AUC, and which arms were harmed."""
    workspace = local_workspace(folder.resolve(), data_root=folder)
    # Remembered by the run: nothing is evaluated again.
    arms = by_arm(evaluate_model(*call) for call in evaluation_calls(workspace, result))
    judged = {verdict.subject.rpartition("/")[2]: verdict.class_figures for verdict in result.verdicts}
    single = {"kd": "teacher", "kd_second": "teacher_second"}
    best = max(single, key=lambda arm: sum(value or 0.0 for value in judged[single[arm]].values()))
    found: dict[str, object] = {"best_single": best}
    named = figure_of(result)
    for name, (arm, baseline) in ROWS.items():
        figure = compare_arms(workspace, result.cohorts, arms[arm], arms[baseline or best]).figures[named]
        found |= {name: round(figure.mean, 4), f"{name}_low": round(figure.low, 4), f"{name}_high": round(figure.high, 4)}
    against = {
        arm: compare_arms(workspace, result.cohorts, arms[arm], arms["alone"]).figures[named]
        for arm in result.recipe.arms
        if arm != "alone"
    }
    found["harmed"] = [arm for arm, figure in against.items() if figure.high < 0]
    found["auc"] = {card.subject.rpartition("/")[2]: round(card.figures[named].mean, 4) for card in result.scorecards}
    return found


def table(figures: dict[str, object]) -> str:
    """Return the rows as Markdown."""
    lines = ["| difference of AUC | mean | 95 % interval | |", "|---|---|---|---|"]
    for name in ROWS:
        low, high = float(str(figures[f"{name}_low"])), float(str(figures[f"{name}_high"]))
        said = "harm" if high < 0 else "gain" if low > 0 else ""
        lines.append(f"| {name} | {figures[name]} | {low} to {high} | {said} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
