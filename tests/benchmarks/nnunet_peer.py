"""A teacher and its students beside nnU-Net v2, its own planner and trainer, on the same patients of MSD hippocampus in the same CPU budget.

``MEDKD_DATA=FOLDER nice python -m tests.benchmarks.nnunet_peer --json --folds 5 --minutes 60``: folds of ``cases.csv``, each method so many minutes
a fold (teacher, student alone, distilled student and nnU-Net alike). ``python -m tests.benchmarks.nnunet_peer --folds 1 --minutes 2`` is the smoke
form: everything runs, nothing is learnt. nnU-Net lives in ``.venv-bench`` (`make bench-nnunet`); without it, or without the data, it is said
and the status is 0. Figures are means over the validation cases of all folds that were run, intervals over patients; ``gap_closed`` is the share of
the way from the student alone to the teacher that the distilled one goes, absent where the teacher is hardly better.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("MEDKD_SECRET", "benchmark")

import numpy as np
import torch

import flows
from data_contracts import Checkpoint, Recipe, Subset
from medkd.cohorts.open_cohort import open_volume_use
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.evaluation.bootstrap import bootstrap_figure, bootstrap_ratio, mean_of
from medkd.evaluation.evaluate_volumes import score_answer
from medkd.inference.predict import predict_volume
from medkd.models._load import load_network
from medkd.storage.workspace import Workspace, local_workspace
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher
from medkd.volumes.orientation import read_nifti

ROOT = Path(__file__).parents[2]
PEER = ROOT / ".venv-bench" / "bin" / "python"
RECIPE = Path(flows.__file__).parent / "recipes" / "hippocampus.yaml"
#: Cases that an epoch draws: small, so that the epochs of a budget can be counted out.
_SAMPLES = 32
#: Figures that are said; of the measures' names what stands before the class.
_SAID = ("dice", "hausdorff_95", "surface_dice")


@dataclass(frozen=True)
class Budget:
    """What each method may use of a fold."""

    minutes: float
    threads: int


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--json", action="store_true", help="only the last line")
    asked.add_argument("--folds", type=int, default=1)
    asked.add_argument("--minutes", type=float, default=2.0)
    asked.add_argument("--threads", type=int, default=2)
    given = asked.parse_args()
    data = Path(os.environ.get("MEDKD_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "hippocampus_msd").is_dir() or not PEER.is_file():
        sys.stdout.write("skipped: real data or .venv-bench absent: set MEDKD_DATA, make bench-nnunet\n")
        return
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(prefix="medkd-nnunet-") as scratch:
        found = measure(data, Path(scratch), range(given.folds), Budget(given.minutes, given.threads))
    if not given.json:
        for name, value in found["figures"].items():
            sys.stdout.write(f"{name.ljust(40)}{value}\n")
    sys.stdout.write(json.dumps(found) + "\n")


def measure(data: Path, scratch: Path, folds: range, budget: Budget) -> dict[str, object]:
    """Return figures of all methods over the folds."""
    source = data / "hippocampus_msd"
    cases = write_raw(source, scratch / "nnunet")
    peers = run_nnunet(scratch / "nnunet", folds, budget)
    scores: dict[str, list[dict[str, float]]] = {}
    patients: list[str] = []
    trained: list[dict[str, object]] = []
    for fold in folds:
        recipe = read_recipe(
            RECIPE, {"data.part_column": "fold", "data.validation_values": [str(fold)], "seeds": [0], "name": f"hippocampus-{fold}"}
        )
        workspace = local_workspace(scratch / f"run-{fold}", data_root=data)
        cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, data))
        models = train_all(workspace, recipe, cohorts, budget)
        cohort = open_volume_use(cohorts, Subset.TEST, workspace.store, recipe.task)
        patients += cohort.patients()
        for name, checkpoint in models.items():
            scores.setdefault(name, []).extend(scored(workspace, recipe, cohort, checkpoint))
            trained.append(
                {
                    "fold": fold,
                    "model": name,
                    "parameters": checkpoint.parameters,
                    "epochs": checkpoint.epochs,
                    "seconds": round(checkpoint.train_seconds),
                }
            )
        scores.setdefault("nnunet", []).extend(
            scored_files(recipe, cohort, source, scratch / "nnunet" / "predicted" / f"fold_{fold}", cases[fold])
        )
    return {
        "figures": figures_of(scores, patients),
        "cases": len(patients),
        "patients": len(set(patients)),
        "nnunet": peers,
        "medkd": trained,
    }


def write_raw(source: Path, work: Path) -> dict[int, list[str]]:
    """Write the raw data set and the splits of nnU-Net; return the validation cases of each fold."""
    raw = work / "nnUNet_raw" / "Dataset004_Hippocampus"
    with (source / "cases.csv").open(encoding="utf-8") as stream:
        fold_of = {line["case"]: int(line["fold"]) for line in csv.DictReader(stream)}
    for case in fold_of:
        for place, name in (("imagesTr", f"{case}_0000.nii.gz"), ("labelsTr", f"{case}.nii.gz")):
            (raw / place).mkdir(parents=True, exist_ok=True)
            shutil.copy(source / place / f"{case}.nii.gz", raw / place / name)
    labels = {"background": 0, "anterior": 1, "posterior": 2}
    fields = {"channel_names": {"0": "MRI"}, "labels": labels, "numTraining": len(fold_of), "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps(fields), encoding="utf-8")
    cases = {fold: sorted(case for case, own in fold_of.items() if own == fold) for fold in sorted(set(fold_of.values()))}
    splits = [{"train": sorted(set(fold_of) - set(held)), "val": held} for held in cases.values()]
    (work / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    return cases


def run_nnunet(work: Path, folds: range, budget: Budget) -> list[dict[str, object]]:
    """Plan, train and predict with nnU-Net in its own environment."""
    command = [PEER, Path(__file__).with_name("peer_nnunet.py"), work, "--minutes", str(budget.minutes), "--threads", str(budget.threads)]
    done = subprocess.run([*command, "--folds", *map(str, folds)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"nnU-Net ended with status {done.returncode}: {done.stderr[-2000:]}")
    found: list[dict[str, object]] = json.loads(done.stdout.splitlines()[-1])["folds"]
    return found


def train_all(workspace: Workspace, recipe: Recipe, cohorts: object, budget: Budget) -> dict[str, Checkpoint]:
    """Train the teacher, the student alone and the distilled one, each for as many epochs as its budget holds."""

    def within(spec: object, train: object) -> Checkpoint:
        fit = spec.fit.model_copy(update={"samples_per_epoch": _SAMPLES, "epochs": 1})
        first = spec.model_copy(update={"fit": fit, "recipe": f"{spec.recipe}--timed"})
        train(first)  # what is loaded once is not counted
        began = time.perf_counter()
        train(first.model_copy(update={"recipe": f"{spec.recipe}--timed-again", "fit": fit.model_copy(update={"epochs": 3})}))
        epochs = max(1, int(60 * budget.minutes / ((time.perf_counter() - began) / 3)))
        return train(spec.model_copy(update={"fit": fit.model_copy(update={"epochs": epochs})}))

    teacher = within(recipe.teacher_training(), lambda spec: train_teacher(workspace, spec, cohorts))
    students = {
        arm: within(recipe.student_training(arm, 0), lambda spec: distill(workspace, spec, cohorts, teacher)) for arm in ("alone", "kd")
    }
    return {"teacher": teacher, "student_alone": students["alone"], "student": students["kd"]}


def scored(workspace: Workspace, recipe: Recipe, cohort: VolumeCohort, checkpoint: Checkpoint) -> list[dict[str, float]]:
    """Return the figures of each case, on the voxels that its label was drawn on."""
    network = load_network(workspace, checkpoint)
    answers = (
        cohort.alignments[row].to_source(predict_volume(network, cohort.images[row], recipe.task)).argmax(0) for row in range(len(cohort))
    )
    return [_figures(recipe, cohort, row, answer) for row, answer in enumerate(answers)]


def scored_files(recipe: Recipe, cohort: VolumeCohort, source: Path, folder: Path, names: list[str]) -> list[dict[str, float]]:
    """Return the figures of each case of what nnU-Net wrote; a file belongs to the case whose label is the same, voxel for voxel."""
    by_label = {read_nifti(source / "labelsTr" / f"{name}.nii.gz")[0].astype(np.uint8).tobytes(): name for name in names}
    found = []
    for row in range(len(cohort)):
        name = by_label[cohort.references[row].numpy().astype(np.uint8).tobytes()]
        answer = torch.from_numpy(read_nifti(folder / f"{name}.nii.gz")[0].astype(np.int64))
        found.append(_figures(recipe, cohort, row, answer))
    return found


def _figures(recipe: Recipe, cohort: VolumeCohort, row: int, answer: torch.Tensor) -> dict[str, float]:
    scores = score_answer(answer, cohort.references[row], recipe.task, spacing_mm=cohort.spacing_mm(row))
    return {name.replace("hausdorff_95", "hd95"): float(value) for name, value in scores.items() if name.startswith(_SAID)}


def figures_of(scores: dict[str, list[dict[str, float]]], patients: list[str]) -> dict[str, float | list[float]]:
    """Return the mean figures of each method, and how far the distilled student goes from the student alone to the teacher."""
    columns = {name: {key: np.array([case[key] for case in cases], dtype=float) for key in cases[0]} for name, cases in scores.items()}
    said: dict[str, float | list[float]] = {}
    for name, own in columns.items():
        said |= {f"{name}_{key}": round(float(np.nanmean(values)), 4) for key, values in own.items()}
    dice = {name: np.nanmean([values for key, values in own.items() if key.startswith("dice_")], axis=0) for name, own in columns.items()}
    ahead = bootstrap_figure(mean_of((dice["teacher"] - dice["nnunet"])[None]), patients)
    said |= {
        "teacher_less_nnunet_dice": round(ahead.mean, 4),
        "teacher_less_nnunet_dice_interval": [round(ahead.low, 4), round(ahead.high, 4)],
    }
    closed = bootstrap_ratio(
        mean_of((dice["student"] - dice["student_alone"])[None]),
        mean_of((dice["teacher"] - dice["student_alone"])[None]),
        patients,
        least=0.005,
    )
    if closed is not None:
        said |= {"gap_closed": round(closed.mean, 3), "gap_closed_interval": [round(closed.low, 3), round(closed.high, 3)]}
    return said


if __name__ == "__main__":
    main()
