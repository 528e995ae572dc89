"""Does the published order of distillation methods hold here? Nine ways to teach one student, beside none, equal search budgets, three seeds, one real task.

``python -m tests.benchmarks.published_methods --json``: the one table of nine methods in medical segmentation (ACF-BCKD on BTCV, mean Dice of a small
U-Net: KD 68.39, AT 68.68, SKD 69.88, DKD 71.36, IFVD 71.44, CIRKD 73.08, DIST 74.84, CWD 75.84, theirs 76.28) is made again on the MSD hippocampus: the released teacher, students
of 39 k parameters, each method beside cross entropy. The weights are in units of the task's gradient (``LossBalancing.norms``), so that one and the same grid is
fair to all; each method tries it once on search seeds of its own and takes what is best on held-back training patients. Scored on the validation patients of the
table, mean Dice of both parts; alone and each method under three seeds.

``rank_correlation`` is Spearman's of our mean Dice with the published figure over the nine methods, with the percentile interval over resampled seeds and patients;
``NAME_minus_kd`` and ``NAME_minus_alone`` are paired differences with intervals that cross seeds and patients; ``harmful`` counts methods surely below the student alone.
IFVD and CIRKD are substituted by the entries of the catalogue that come nearest: affinity of regions (``region_affinity``) and contrast of places over the batch (``crd``).
``MEDKD_METHODS_EPOCHS`` and ``MEDKD_METHODS_WORKERS`` change the budget and the processes, ``MEDKD_METHODS_SEARCH_EPOCHS`` that of the search alone (36 of the 66
trainings); in the folder ``MEDKD_METHODS_FOLDER`` the scores of each training
are kept as they come, and the same command goes on from there. It reads the labelled data of ``MEDKD_DATA``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ["MEDKD_SECRET"] = (
    "medkd released models, public data only"  # the keys of the patients that the released models were not trained on
)

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

import flows
from data_contracts import Checkpoint, CohortSet, Recipe, Subset
from medkd.cohorts.open_cohort import open_volume_use
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.evaluation.bootstrap import crossed_estimate
from medkd.evaluation.evaluate_volumes import score_answer
from medkd.evaluation.validate import mean_over_foreground
from medkd.inference.predict_cohort import leave_out_synthetic, volume_logits
from medkd.measures.dice import dice
from medkd.models._load import load_network
from medkd.planning.processor import processor_name
from medkd.storage.workspace import Workspace, local_workspace
from medkd.training.recipes import read_recipe
from medkd.training.train import distill
from tests.benchmarks.command import asks_for_json

EPOCHS = int(os.environ.get("MEDKD_METHODS_EPOCHS", "5"))
SEARCH_EPOCHS = int(os.environ.get("MEDKD_METHODS_SEARCH_EPOCHS", EPOCHS))
WORKERS = int(os.environ.get("MEDKD_METHODS_WORKERS", "2"))
SEEDS, SEARCH_SEED, GRID = (0, 1, 2), 17, (0.1, 0.3, 1.0, 3.0)
#: Published mean Dice, and the terms of each method beside cross entropy; the first term's weight is searched.
METHODS: dict[str, tuple[float, tuple[dict[str, object], ...]]] = {
    "kd": (68.39, ({"loss": "logit_kd", "options": {"temperature": 2.0}},)),
    "at": (68.68, ({"loss": "attention_transfer", "options": {"grid": 20}},)),
    "skd": (69.88, ({"loss": "relational_kd", "options": {"grid": 6}},)),
    "dkd": (71.36, ({"loss": "decoupled_kd", "options": {"temperature": 2.0}},)),
    "ifvd": (71.44, ({"loss": "region_affinity", "options": {"grid": 20}},)),
    "cirkd": (73.08, ({"loss": "crd", "options": {"grid": 4}},)),
    "dist": (74.84, ({"loss": "dist_kd"},)),
    "cwd": (75.84, ({"loss": "channel_wise", "options": {"temperature": 2.0}},)),
    "ours": (
        76.28,
        (
            {"loss": "logit_kd", "options": {"temperature": 2.0, "background": 0.1, "dilation": 2}},
            {"loss": "attribution_transfer", "weight": 0.2, "options": {"explainer": "cam", "grid": 20}},
        ),
    ),
}
Rows = NDArray[np.float64]


def main() -> None:
    """Train, choose, score and print."""
    as_json = asks_for_json(__doc__)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(os.environ.get("MEDKD_METHODS_FOLDER", scratch)).resolve()
        # Before any process is started: cohorts are prepared once.
        opened(folder)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
            tried = [(name, weight) for name in METHODS for weight in GRID]
            scores = list(pool.map(validated, [(folder, name, weight, SEARCH_SEED) for name, weight in tried]))
            chosen = {name: GRID[int(np.argmax([s for (n, _), s in zip(tried, scores, strict=True) if n == name]))] for name in METHODS}
            wanted = [("alone", 0.0), *chosen.items()]
            found = list(pool.map(tested, [(folder, name, weight, seed) for name, weight in wanted for seed in SEEDS]))
        workspace, recipe, cohorts, teacher = opened(folder)
        patients = open_volume_use(cohorts, Subset.TEST, workspace.store, recipe.task).patients()
        above = scored(workspace, cohorts, recipe, teacher)
    arms = {name: np.stack(found[row * len(SEEDS) : (row + 1) * len(SEEDS)]) for row, (name, _) in enumerate(wanted)}
    figures, peers = summarised(arms, patients, above)
    peers |= {"chosen_weights": chosen, "searched": {f"{n}@{w:g}": round(s, 4) for (n, w), s in zip(tried, scores, strict=True)}}
    figures |= {
        "processor": processor_name(),
        "epochs": EPOCHS,
        "search_epochs": SEARCH_EPOCHS,
        "seconds": round(time.perf_counter() - began),
    }
    if not as_json:
        sys.stdout.write(json.dumps(peers, indent=1) + "\n")
    sys.stdout.write(json.dumps({"figures": figures, "peers": peers, "n": len(set(patients))}) + "\n")


def opened(folder: Path) -> tuple[Workspace, Recipe, CohortSet, Checkpoint]:
    """Return where a benchmark's files go, the recipe with its arms, the cohorts, and the released teacher."""
    workspace = local_workspace(folder, data_root=Path(os.environ.get("MEDKD_DATA", Path(__file__).parents[3] / "shared" / "data")))
    package = Path(flows.__file__).parents[1] / "medkd" / "released" / "exports" / "hippocampus.zip"
    with zipfile.ZipFile(package) as archive:
        teacher = Checkpoint.model_validate_json(archive.read("versions/0/package/checkpoint.json"))
        path = workspace.store.root / teacher.weights.key
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read("versions/0/package/weights.safetensors"))
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "hippocampus.yaml", {"seeds": [*SEEDS, SEARCH_SEED]})
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, workspace.data_root))
    return workspace, recipe, cohorts, teacher


def trained(folder: Path, name: str, weight: float, seed: int, epochs: int) -> tuple[Workspace, Recipe, CohortSet, Checkpoint]:
    """Train one student; all of a seed begin at the same weights and see the same patches."""
    torch.set_num_threads(1)
    workspace, recipe, cohorts, teacher = opened(folder)
    terms = [{"loss": "cross_entropy"}]
    for place, term in enumerate(METHODS[name][1] if name in METHODS else ()):
        terms.append({**term, "weight": weight if place == 0 else float(str(term["weight"])) * weight})  # type: ignore[dict-item]
    arm = {"terms": terms} | ({"balance": {"norms": True}} if len(terms) > 1 else {})
    own = Recipe.model_validate({**json.loads(recipe.canonical_json()), "arms": {name: arm}})
    spec = own.student_training(name, seed)
    student = distill(workspace, spec.model_copy(update={"fit": spec.fit.model_copy(update={"epochs": epochs})}), cohorts, teacher)
    return workspace, own, cohorts, student


def validated(asked: tuple[Path, str, float, int]) -> float:
    """Return the mean Dice on training patients that were held back, by which a weight is chosen."""

    def score() -> list[float]:
        workspace, recipe, cohorts, student = trained(*asked, SEARCH_EPOCHS)
        volumes = open_volume_use(cohorts, Subset.TEACHER_VALIDATION, workspace.store, recipe.task)
        return [mean_over_foreground(load_network(workspace, student), volumes, recipe.task, dice)]

    return kept("validated", asked, score, SEARCH_EPOCHS)[0]


def tested(asked: tuple[Path, str, float, int]) -> Rows:
    """Return the mean Dice of each test case."""

    def score() -> list[float]:
        workspace, recipe, cohorts, student = trained(*asked, EPOCHS)
        return list(map(float, scored(workspace, cohorts, recipe, student)))

    return np.array(kept("tested", asked, score, EPOCHS))


def kept(kind: str, asked: tuple[Path, str, float, int], score: Callable[[], list[float]], epochs: int) -> list[float]:
    """Return the scores of one training; they are written beside the others, so that a run that was stopped goes on."""
    folder, name, weight, seed = asked
    path = folder / f"{kind}-{name}-{weight:g}-{seed}-{epochs}.json"
    if not path.is_file():
        found = score()
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(path)
    scores: list[float] = json.loads(path.read_text(encoding="utf-8"))
    sys.stderr.write(f"{kind} {name} at {weight:g}, seed {seed}: {np.mean(scores):.4f}\n")
    return scores


def scored(workspace: Workspace, cohorts: CohortSet, recipe: Recipe, checkpoint: Checkpoint) -> Rows:
    """Return the mean Dice of both parts for each test case, on the voxels that it was imported with."""
    volumes = open_volume_use(cohorts, Subset.TEST, workspace.store, recipe.task)
    network = load_network(workspace, checkpoint)
    values = []
    for row in range(len(volumes)):
        answer = leave_out_synthetic(volumes, row, volume_logits(network, volumes, row, recipe.task).argmax(0))
        label = leave_out_synthetic(volumes, row, volumes.references[row])
        values.append(float(score_answer(answer, label, recipe.task, spacing_mm=volumes.spacing_mm(row))["dice"]))
    return np.array(values)


def summarised(arms: dict[str, Rows], patients: list[str], teacher: Rows) -> tuple[dict[str, object], dict[str, object]]:
    """Return the figures and the table, of scores [seed, case] by arm."""
    figures: dict[str, object] = {"teacher": round(float(teacher.mean()), 4), "alone": round(float(arms["alone"].mean()), 4)}
    peers: dict[str, object] = {"published": {name: figure for name, (figure, _) in METHODS.items()}}
    harmful = 0
    for name in METHODS:
        own = arms[name]
        figures[name] = round(float(own.mean()), 4)
        for other in ("alone", "kd"):
            if name == other:
                continue
            base = arms[other]
            found = crossed_estimate(
                lambda rows, seed, own=own, base=base: float(own[seed][rows].mean() - base[seed][rows].mean()),  # type: ignore[misc]
                patients,
                seeds=len(SEEDS),
            )
            label = f"{name}_minus_{other}"
            figures |= {label: round(found.mean, 4), f"{label}_low": round(found.low, 4), f"{label}_high": round(found.high, 4)}
            harmful += other == "alone" and found.high < 0
    figures["harmful"] = harmful
    value, low, high = rank_correlation(arms, patients)
    return figures | {"rank_correlation": value, "rank_correlation_low": low, "rank_correlation_high": high}, peers


def rank_correlation(arms: dict[str, Rows], patients: list[str], resamples: int = 2000) -> tuple[float, float, float]:
    """Return Spearman's correlation of our mean Dice with the published figures, with its percentile interval over seeds and patients drawn anew."""
    published = [figure for figure, _ in METHODS.values()]
    stacked = np.stack([arms[name] for name in METHODS])
    codes = np.unique(patients, return_inverse=True)[1]
    cases = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    rng = np.random.default_rng(0)

    def correlation(seeds: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
        return float(spearmanr(published, stacked[:, seeds][:, :, rows].mean((1, 2))).statistic)

    draws = []
    for _ in range(resamples):
        drawn = np.concatenate([cases[code] for code in rng.integers(0, len(cases), len(cases))])
        draws.append(correlation(rng.integers(0, stacked.shape[1], size=(stacked.shape[1],)), drawn))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return round(correlation(np.arange(stacked.shape[1]), np.arange(stacked.shape[2])), 3), round(float(low), 3), round(float(high), 3)


if __name__ == "__main__":
    main()
