"""A teacher and its students beside nnU-Net v2, its own planner and trainer, on the same patients of MSD hippocampus in the same CPU budget.

``MEDKD_DATA=FOLDER python -m tests.benchmarks.nnunet_peer --json --folds 0 1 2 3 4 --minutes 60``: folds of ``cases.csv``; the teacher and nnU-Net have
so many minutes of processor time a fold, the distilled student ``--student-minutes`` (as many unless said), and the student alone the distilled one's
epochs. ``--workers`` folds run at a time on one thread each; in ``--keep FOLDER`` the scores of each finished part stay, and the same command goes on
from there; ``--without-nnunet`` leaves the peer out. ``--minutes 2`` on one fold is the smoke form: everything runs, little is learnt. nnU-Net lives in ``.venv-bench``
(`make bench-nnunet`); without it, or without the data, it is said and the status is 0. Figures are means over the validation cases of all folds that
were run, intervals over patients; ``gap_closed`` is the share of the way from the student alone to the teacher that the distilled one goes, absent
where the teacher is hardly better.
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
    """What each method may use of a fold: minutes of processor time of the teacher and of nnU-Net, and of the distilled student."""

    minutes: float
    student_minutes: float


@dataclass(frozen=True)
class FoldRequest:
    """A fold to be measured: where the data lie, where scores stay, and whether nnU-Net takes part."""

    data: Path
    keep: Path
    fold: int
    budget: Budget
    with_peer: bool


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--json", action="store_true", help="only the last line")
    asked.add_argument("--folds", type=int, nargs="+", default=[0])
    asked.add_argument("--minutes", type=float, default=2.0)
    asked.add_argument("--student-minutes", type=float)
    asked.add_argument("--workers", type=int, default=1)
    asked.add_argument("--keep", type=Path)
    asked.add_argument("--without-nnunet", action="store_true")
    given = asked.parse_args()
    data = Path(os.environ.get("MEDKD_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "hippocampus_msd").is_dir() or not (given.without_nnunet or PEER.is_file()):
        sys.stdout.write("skipped: real data or .venv-bench absent: set MEDKD_DATA, make bench-nnunet\n")
        return
    budget = Budget(given.minutes, given.student_minutes or given.minutes)
    with tempfile.TemporaryDirectory(prefix="medkd-nnunet-") as scratch:
        keep = (given.keep or Path(scratch) / "keep").resolve()
        keep.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(given.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            folds = list(pool.map(measured, [FoldRequest(data, keep, fold, budget, not given.without_nnunet) for fold in given.folds]))
    found = summarised(folds) | {"minutes": budget.minutes, "student_minutes": budget.student_minutes, "processor": processor_name()}
    if not given.json:
        for name, value in found["figures"].items():
            sys.stdout.write(f"{name.ljust(40)}{value}\n")
    sys.stdout.write(json.dumps(found) + "\n")


def measured(asked: FoldRequest) -> dict[str, object]:
    """Return the scores of all methods on one fold, from the files that an earlier run left or measured now."""
    torch.set_num_threads(1)
    minutes, student = asked.budget.minutes, asked.budget.student_minutes
    found = kept(asked.keep / f"medkd_{asked.fold}_{minutes:g}_{student:g}.json", lambda scratch: measure_fold(asked, scratch))
    if asked.with_peer:
        peer = kept(asked.keep / f"nnunet_{asked.fold}_{minutes:g}.json", lambda scratch: measure_peer(asked, scratch))
        found = {**found, "scores": found["scores"] | peer["scores"], "trained": found["trained"] | peer["trained"]}
    return found


def kept(path: Path, measure: Callable[[Path], dict[str, object]]) -> dict[str, object]:
    """Return what a file says, written first where it is not there."""
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix=f"medkd-{path.stem}-") as scratch:
            found = measure(Path(scratch))
        path.with_suffix(".partial").write_text(json.dumps(found), encoding="utf-8")
        path.with_suffix(".partial").rename(path)
    return json.loads(path.read_text(encoding="utf-8"))


def opened(asked: FoldRequest, scratch: Path) -> tuple[Workspace, Recipe, CohortSet, VolumeCohort]:
    """Return where a fold's files go, its recipe, its cohorts and the cases that are scored."""
    recipe = read_recipe(
        RECIPE, {"data.part_column": "fold", "data.validation_values": [str(asked.fold)], "seeds": [0], "name": f"hippocampus-{asked.fold}"}
    )
    workspace = local_workspace(scratch / "run", data_root=asked.data)
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, asked.data))
    return workspace, recipe, cohorts, open_volume_use(cohorts, Subset.TEST, workspace.store, recipe.task)


def measure_fold(asked: FoldRequest, scratch: Path) -> dict[str, object]:
    """Train teacher and students on the other folds and score them on this one."""
    workspace, recipe, cohorts, cohort = opened(asked, scratch)
    models = train_all(workspace, recipe, cohorts, asked.budget)
    trained = {
        name: {
            "parameters": own.parameters,
            "epochs": own.epochs,
            "steps": own.epochs * steps_of(recipe, name),
            "cpu_seconds": round(spent),
        }
        for name, (own, spent) in models.items()
    }
    scores = {name: scored(workspace, recipe, cohort, checkpoint) for name, (checkpoint, _) in models.items()}
    return {"scores": scores, "patients": cohort.patients(), "trained": trained}


def measure_peer(asked: FoldRequest, scratch: Path) -> dict[str, object]:
    """Let nnU-Net plan and train on the other folds and score it on this one."""
    source = asked.data / "hippocampus_msd"
    cases = write_raw(source, scratch / "nnunet")
    trained = run_nnunet(scratch / "nnunet", asked.fold, asked.budget)
    _, recipe, _, cohort = opened(asked, scratch)
    answers = scratch / "nnunet" / "predicted" / f"fold_{asked.fold}"
    return {"scores": {"nnunet": scored_files(recipe, cohort, source, answers, cases[asked.fold])}, "trained": {"nnunet": trained}}


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
    """Train the teacher and the distilled student, each for as many epochs as its budget holds, and the student alone for the distilled one's; return
    them with their CPU seconds.
    """

    def lasting(spec: TrainingSpec, epochs: int) -> TrainingSpec:
        return spec.model_copy(update={"fit": spec.fit.model_copy(update={"samples_per_epoch": _SAMPLES, "epochs": epochs})})

    def epochs_of(spec: TrainingSpec, minutes: float, train: Callable[[TrainingSpec], Checkpoint]) -> int:
        first, second = (spec.model_copy(update={"recipe": f"{spec.recipe}--{name}"}) for name in ("loaded", "timed"))
        train(lasting(first, 1))  # what is loaded once is not counted
        began = time.process_time()
        train(lasting(second, 3))
        return max(1, int(60 * minutes / ((time.process_time() - began) / 3)))

    def spent(spec: TrainingSpec, epochs: int, train: Callable[[TrainingSpec], Checkpoint]) -> tuple[Checkpoint, float]:
        began = time.process_time()
        return train(lasting(spec, epochs)), time.process_time() - began

    def by_labels(spec: TrainingSpec) -> Checkpoint:
        return train_teacher(workspace, spec, cohorts)

    wanted = recipe.teacher_training()
    teacher = spent(wanted, epochs_of(wanted, budget.minutes, by_labels), by_labels)

    def distilled(spec: TrainingSpec) -> Checkpoint:
        return distill(workspace, spec, cohorts, teacher[0])

    wanted = recipe.student_training("kd", 0)
    epochs = epochs_of(wanted, budget.student_minutes, distilled)
    alone = spent(recipe.student_training("alone", 0), epochs, distilled)
    return {"teacher": teacher, "student_alone": alone, "student": spent(wanted, epochs, distilled)}


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
    for first, second in (("teacher", "nnunet"), ("student", "student_alone"), ("student", "teacher")):
        if second in dice:
            ahead = bootstrap_figure(mean_of((dice[first] - dice[second])[None]), patients)
            said |= {
                f"{first}_less_{second}_dice": round(ahead.mean, 4),
                f"{first}_less_{second}_dice_interval": [round(ahead.low, 4), round(ahead.high, 4)],
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
