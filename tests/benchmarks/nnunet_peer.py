"""A teacher and its students beside nnU-Net v2, its own planner and trainer, on the same patients of MSD hippocampus in the same CPU budget.

``MEDKD_DATA=FOLDER python -m tests.benchmarks.nnunet_peer --json --folds 0 1 2 3 4 --minutes 60``: folds of ``cases.csv``; the teacher and nnU-Net have
so many minutes of processor time a fold, each student (alone, distilled) ``--student-minutes``, as many unless said. ``--workers`` folds run at a time
on one thread each; in ``--keep FOLDER`` the scores of each finished fold stay, and the same command goes on from there.
``--minutes 2`` on one fold is the smoke form: everything runs, little is learnt. nnU-Net lives in ``.venv-bench`` (`make bench-nnunet`); without it, or
without the data, it is said and the status is 0. Figures are means over the validation cases of all folds that were run, intervals over patients;
``gap_closed`` is the share of the way from the student alone to the teacher that the distilled one goes, absent where the teacher is hardly better.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("MEDKD_SECRET", "benchmark")

import numpy as np
import torch

import flows
from data_contracts import Checkpoint, CohortSet, Recipe, Subset, TrainingSpec
from medkd.cohorts.open_cohort import open_volume_use
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.evaluation.bootstrap import bootstrap_figure, bootstrap_ratio, mean_of
from medkd.evaluation.evaluate_volumes import score_answer
from medkd.inference.predict import predict_volume
from medkd.models._load import load_network
from medkd.planning.processor import processor_name
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
    """What each method may use of a fold: minutes of processor time of the teacher and of nnU-Net, and of each student."""

    minutes: float
    student_minutes: float


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--json", action="store_true", help="only the last line")
    asked.add_argument("--folds", type=int, nargs="+", default=[0])
    asked.add_argument("--minutes", type=float, default=2.0)
    asked.add_argument("--student-minutes", type=float)
    asked.add_argument("--workers", type=int, default=1)
    asked.add_argument("--keep", type=Path)
    given = asked.parse_args()
    data = Path(os.environ.get("MEDKD_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "hippocampus_msd").is_dir() or not PEER.is_file():
        sys.stdout.write("skipped: real data or .venv-bench absent: set MEDKD_DATA, make bench-nnunet\n")
        return
    budget = Budget(given.minutes, given.student_minutes or given.minutes)
    with tempfile.TemporaryDirectory(prefix="medkd-nnunet-") as scratch:
        keep = (given.keep or Path(scratch) / "keep").resolve()
        keep.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(given.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            folds = list(pool.map(measured, [(data, keep, fold, budget) for fold in given.folds]))
    found = summarised(folds) | {"minutes": budget.minutes, "student_minutes": budget.student_minutes, "processor": processor_name()}
    if not given.json:
        for name, value in found["figures"].items():
            sys.stdout.write(f"{name.ljust(40)}{value}\n")
    sys.stdout.write(json.dumps(found) + "\n")


def measured(job: tuple[Path, Path, int, Budget]) -> dict[str, object]:
    """Return the scores of all methods on one fold, from the file that an earlier run left or measured now."""
    data, keep, fold, budget = job
    kept = keep / f"fold_{fold}_{budget.minutes:g}_{budget.student_minutes:g}.json"
    if not kept.exists():
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory(prefix=f"medkd-nnunet-{fold}-") as scratch:
            found = measure_fold(data, Path(scratch), fold, budget)
        kept.with_suffix(".partial").write_text(json.dumps(found), encoding="utf-8")
        kept.with_suffix(".partial").rename(kept)
    return json.loads(kept.read_text(encoding="utf-8"))


def measure_fold(data: Path, scratch: Path, fold: int, budget: Budget) -> dict[str, object]:
    """Train every method on the other folds and score it on this one."""
    source = data / "hippocampus_msd"
    cases = write_raw(source, scratch / "nnunet")
    peer = run_nnunet(scratch / "nnunet", fold, budget)
    recipe = read_recipe(
        RECIPE, {"data.part_column": "fold", "data.validation_values": [str(fold)], "seeds": [0], "name": f"hippocampus-{fold}"}
    )
    workspace = local_workspace(scratch / "run", data_root=data)
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, data))
    models = train_all(workspace, recipe, cohorts, budget)
    cohort = open_volume_use(cohorts, Subset.TEST, workspace.store, recipe.task)
    scores = {name: scored(workspace, recipe, cohort, checkpoint) for name, (checkpoint, _) in models.items()}
    scores["nnunet"] = scored_files(recipe, cohort, source, scratch / "nnunet" / "predicted" / f"fold_{fold}", cases[fold])
    trained = {
        name: {
            "parameters": own.parameters,
            "epochs": own.epochs,
            "steps": own.epochs * steps_of(recipe, name),
            "cpu_seconds": round(spent),
        }
        for name, (own, spent) in models.items()
    }
    return {"scores": scores, "patients": cohort.patients(), "trained": trained | {"nnunet": peer}}


def steps_of(recipe: Recipe, name: str) -> int:
    """Return the steps of one epoch."""
    return _SAMPLES // (recipe.teacher if name == "teacher" else recipe.student).fit.batch_size


def summarised(folds: list[dict[str, object]]) -> dict[str, object]:
    """Return the figures over the cases of all folds."""
    scores = {name: [case for fold in folds for case in fold["scores"][name]] for name in folds[0]["scores"]}
    patients = [patient for fold in folds for patient in fold["patients"]]
    trained = {name: [fold["trained"][name] for fold in folds] for name in folds[0]["trained"]}
    return {"figures": figures_of(scores, patients), "peers": trained, "n": len(set(patients)), "cases": len(patients)}


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


def run_nnunet(work: Path, fold: int, budget: Budget) -> dict[str, object]:
    """Plan, train and predict with nnU-Net in its own environment."""
    command = [
        PEER,
        Path(__file__).with_name("peer_nnunet.py"),
        work,
        "--minutes",
        str(budget.minutes),
        "--threads",
        "1",
        "--folds",
        str(fold),
    ]
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"nnU-Net ended with status {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])["folds"][0]
    return found


def train_all(workspace: Workspace, recipe: Recipe, cohorts: CohortSet, budget: Budget) -> dict[str, tuple[Checkpoint, float]]:
    """Train the teacher, the student alone and the distilled one, each for as many epochs as its budget holds; return them with their CPU seconds."""

    def within(spec: TrainingSpec, minutes: float, train: Callable[[TrainingSpec], Checkpoint]) -> tuple[Checkpoint, float]:
        fit = spec.fit.model_copy(update={"samples_per_epoch": _SAMPLES, "epochs": 1})
        first = spec.model_copy(update={"fit": fit, "recipe": f"{spec.recipe}--timed"})
        train(first)  # what is loaded once is not counted
        began = time.process_time()
        train(first.model_copy(update={"recipe": f"{spec.recipe}--timed-again", "fit": fit.model_copy(update={"epochs": 3})}))
        epochs = max(1, int(60 * minutes / ((time.process_time() - began) / 3)))
        began = time.process_time()
        model = train(spec.model_copy(update={"fit": fit.model_copy(update={"epochs": epochs})}))
        return model, time.process_time() - began

    teacher = within(recipe.teacher_training(), budget.minutes, lambda spec: train_teacher(workspace, spec, cohorts))
    students = {
        arm: within(recipe.student_training(arm, 0), budget.student_minutes, lambda spec: distill(workspace, spec, cohorts, teacher[0]))
        for arm in ("alone", "kd")
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
