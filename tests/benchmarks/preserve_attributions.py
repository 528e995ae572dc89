"""Does compression that keeps attributions keep them? A released student is pruned to half of its channels and tuned, with and without it.

``python -m tests.benchmarks.preserve_attributions --json``: per model, ways to choose channels (``magnitude``, ``taylor``, ``attribution``) and tunings of
one budget that differ in one number (``keep_attributions``), three seeds each: all of one size in bytes. On the test patients, whom nobody
was trained or tuned on: the task figure (AUC, or Dice of the foreground in the patch in the middle), and of class maps of the teacher's answer the rank
correlation with the teacher's and with the uncompressed student's, the share of the positive map in the lesion, the share of the uncompressed student's
map that keeps its sign. Differences are paired, with 95 % intervals over seeds and patients. Under ``peers`` all conditions; ``figures`` has the contrasts:
``keep``: tuned with the term less tuned without, channels by magnitude; ``keep_attribution``: the same, channels by attribution; ``choose``: channels by
attribution less by magnitude, tuned without the term; ``choose_keep``: the same, tuned with it; ``choose_task``: by attribution less by taylor; ``both``: by attribution and tuned with the term,
less neither. It reads the labelled data of ``MEDKD_DATA``. About a quarter of an hour on one core; ``MEDKD_BENCHMARK_MODELS=hippocampus``
measures one of the two.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

os.environ["MEDKD_SECRET"] = (
    "medkd released models, public data only"  # the keys of the patients that the released models were not trained on
)

import numpy as np
import torch
from torch import Tensor, nn

import flows
from data_contracts import Candidate, Checkpoint, CohortSet, Estimate, Pruning, Recipe, Subset, TaskKind, Tuning
from medkd.attribution._attribute import attribute
from medkd.catalogue import MEASURES
from medkd.cohorts.open_cohort import open_pictures
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.compression.compress_network import compress_checkpoint
from medkd.evaluation.bootstrap import bootstrap_figure
from medkd.inference.predict import predict_logits
from medkd.knowledge.targets import answer_of
from medkd.models._load import load_network
from medkd.planning.processor import processor_name
from medkd.storage.workspace import Workspace, local_workspace
from medkd.targets import Target, class_margin, lesion_margin
from medkd.training.recipes import read_recipe
from tests.benchmarks.command import asks_for_json

SEEDS, SHARE = (0, 1, 2), 0.5
Condition = tuple[str, bool]
#: How channels are chosen, and whether the term that keeps attributions is there; of volumes fewer, since each costs minutes.
CONDITIONS: dict[str, tuple[Condition, ...]] = {
    "busbra": (("magnitude", False), ("magnitude", True), ("attribution", False), ("attribution", True), ("taylor", False)),
    "hippocampus": (("magnitude", False), ("magnitude", True), ("attribution", True)),
}
#: Per model: how long what is left is tuned, and the weight of the term, that of the recipe the student came from.
BUDGETS = {
    "busbra": ({"epochs": 5, "batch_size": 32, "learning_rate": 2e-3, "weight_decay": 0.01, "augment": "flip", "precision": "fp32"}, 1.0),
    "hippocampus": (
        {"epochs": 3, "batch_size": 4, "samples_per_epoch": 48, "learning_rate": 3e-3, "augment": "flip", "precision": "fp32"},
        0.2,
    ),
}
CONTRASTS: dict[str, tuple[Condition, Condition]] = {
    "keep": (("magnitude", True), ("magnitude", False)),
    "keep_attribution": (("attribution", True), ("attribution", False)),
    "choose": (("attribution", False), ("magnitude", False)),
    "choose_keep": (("attribution", True), ("magnitude", True)),
    "choose_task": (("attribution", False), ("taylor", False)),
    "both": (("attribution", True), ("magnitude", False)),
}
#: Models that are measured: `MEDKD_BENCHMARK_MODELS` names others, separated by commas.
MODELS = tuple(os.environ.get("MEDKD_BENCHMARK_MODELS", ",".join(BUDGETS)).split(","))
MAPS = ("rank_teacher", "rank_origin", "lesion_share", "sign_origin")


@dataclass(frozen=True)
class Measured:
    """One network on the test cases: scores of the task (a value per case; for an AUC the malignant probability), and measures of its maps."""

    task: Tensor
    maps: dict[str, Tensor]
    parameters: int
    bytes: int


@dataclass(frozen=True)
class Bench:
    """One released student with its teacher, its data, and the test cases."""

    name: str
    workspace: Workspace
    recipe: Recipe
    cohorts: CohortSet
    student: Checkpoint
    teacher: Checkpoint
    tests: TensorCohort
    rows: Tensor


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    torch.set_num_threads(1)
    figures: dict[str, object] = {"processor": processor_name()}
    peers: dict[str, object] = {}
    patients = 0
    for name in MODELS:
        with tempfile.TemporaryDirectory() as scratch:
            began = time.perf_counter()
            bench = opened(name, Path(scratch))
            found = measured(bench, quiet=as_json)
            own = contrasts(bench, found) | {f"{name}_seconds": round(time.perf_counter() - began)}
            if not as_json:
                print(own, flush=True)
            figures |= own
            peers[name] = {label(condition): described(bench, several) for condition, several in found.items()}
            patients += len(set(patients_of(bench)))
    sys.stdout.write(json.dumps({"figures": figures, "peers": peers, "n": patients}) + "\n")


def opened(name: str, folder: Path) -> Bench:
    """Read a released student and its teacher from their export, and prepare the recipe's data."""
    workspace = local_workspace(folder, data_root=Path(os.environ.get("MEDKD_DATA", Path(__file__).parents[3] / "shared" / "data")))
    package = Path(flows.__file__).parents[1] / "medkd" / "released" / "exports" / f"{name}.zip"
    checkpoints = []
    with zipfile.ZipFile(package) as archive:
        for place in (0, 1):
            checkpoint = Checkpoint.model_validate_json(archive.read(f"versions/{place}/package/checkpoint.json"))
            path = workspace.store.root / checkpoint.weights.key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(f"versions/{place}/package/weights.safetensors"))
            checkpoints.append(checkpoint)
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / f"{name}.yaml", {"seeds": [0]})
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, workspace.data_root))
    tests = open_pictures(cohorts, Subset.TEST, workspace.store, recipe.task)
    rows = tests.has_mask.nonzero().flatten()
    return Bench(name, workspace, recipe, cohorts, checkpoints[1], checkpoints[0], tests, rows)


def measured(bench: Bench, *, quiet: bool) -> dict[Condition | str, list[Measured]]:
    """Compress and ask: per condition a network of each seed; ``origin`` and ``teacher`` stand beside them."""
    teacher, origin = load_network(bench.workspace, bench.teacher), load_network(bench.workspace, bench.student)
    references = reference_maps(bench, teacher, origin)
    found: dict[Condition | str, list[Measured]] = {
        "teacher": [ask(bench, teacher, bench.teacher, references)],
        "origin": [ask(bench, origin, bench.student, references)],
    }
    training = bench.recipe.student_training("kd_explanation", 0), bench.cohorts
    for condition in CONDITIONS[bench.name]:
        found[condition] = []
        for seed in SEEDS:
            made = compress_checkpoint(bench.workspace, training, bench.student, bench.teacher, candidate(bench, *condition), seed=seed)
            found[condition].append(ask(bench, load_network(bench.workspace, made), made, references))
        if not quiet:
            print(bench.name, label(condition), described(bench, found[condition]), flush=True)
    return found


def candidate(bench: Bench, importance: str, keep: bool) -> Candidate:
    """Return what is done: the arm's own terms without the one about attributions, which ``keep_attributions`` brings back or not."""
    fit, weight = BUDGETS[bench.name]
    own = bench.recipe.arms["kd_explanation"].terms
    terms = tuple(term for term in own if term.loss != "attribution_transfer")
    tune = Tuning.model_validate({"fit": fit, "terms": terms, "keep_attributions": weight if keep else 0.0})
    return Candidate(prune=Pruning.model_validate({"share": SHARE, "importance": importance}), tune=tune, runtime="torch")


def reference_maps(bench: Bench, teacher: nn.Module, origin: nn.Module) -> dict[str, Tensor]:
    """Return the maps [case, *space] of teacher and uncompressed student, both of the teacher's answer, and that answer itself."""
    images = bench.tests.images[bench.rows]
    answer = within(bench, torch.cat([answer_of(predict_logits(teacher, part)) for part in images.split(8)]))
    return {
        "answer": answer,
        "teacher": within(bench, maps_of(teacher, images, answer)),
        "origin": within(bench, maps_of(origin, images, answer)),
    }


def within(bench: Bench, values: Tensor) -> Tensor:
    """Return answers or maps with 0 where a patch is larger than its volume: nobody was trained there."""
    return bench.tests.select(bench.rows).inside(values) if bench.recipe.task.kind is TaskKind.SEGMENTATION else values


def maps_of(network: nn.Module, images: Tensor, answer: Tensor) -> Tensor:
    """Return class maps of an answer, [case, *space]."""

    def target(part: Tensor) -> Target:
        return class_margin(part) if part.ndim == 1 else lesion_margin((part > 0).to(torch.uint8))

    parts = zip(images.split(8), answer.split(8), strict=True)
    return torch.cat([attribute(network, image, target(part), explainer="cam") for image, part in parts])


def ask(bench: Bench, network: nn.Module, checkpoint: Checkpoint, references: dict[str, Tensor]) -> Measured:
    """Return the figures of one network, case by case."""
    images, masks = bench.tests.images[bench.rows], bench.tests.masks[bench.rows]
    logits = torch.cat([predict_logits(network, part) for part in images.split(8)])
    if bench.recipe.task.kind is TaskKind.CLASSIFICATION:
        task = logits.softmax(1)[:, 1].double()
    else:
        task = MEASURES.load("dice")(within(bench, logits.argmax(1)) > 0, masks > 0)
    maps = within(bench, maps_of(network, images, references["answer"]))
    rank, sign, share = (MEASURES.load(name) for name in ("rank_agreement", "sign_agreement", "relevance_mass_accuracy"))
    measures = {
        "rank_teacher": rank(maps, references["teacher"]),
        "rank_origin": rank(maps, references["origin"]),
        "lesion_share": share(maps.clamp_min(0), masks),
        "sign_origin": sign(maps, references["origin"]),
    }
    return Measured(task, measures, checkpoint.parameters, bench.workspace.store.path(checkpoint.weights).stat().st_size)


def patients_of(bench: Bench) -> list[str]:
    """Return the patient of each case that is asked about."""
    return [bench.tests.cases[row].patient_key for row in bench.rows.tolist()]


def task_figure(bench: Bench, task: Tensor, rows: np.ndarray) -> float:
    """Return AUC, or mean Dice, over some rows."""
    if bench.recipe.task.kind is TaskKind.SEGMENTATION:
        return float(task[torch.tensor(rows)].nanmean())
    return float(MEASURES.load("auc")(task[torch.tensor(rows)], bench.tests.labels[bench.rows][torch.tensor(rows)]))


def value(bench: Bench, one: Measured, name: str, rows: np.ndarray) -> float:
    """Return one figure over some rows; NaN where it is undefined."""
    return task_figure(bench, one.task, rows) if name == "task" else float(one.maps[name][torch.tensor(rows)].nanmean())


def described(bench: Bench, several: list[Measured]) -> dict[str, object]:
    """Return the figures of a condition, mean over its seeds, each with its interval."""
    every = patients_of(bench)
    shown: dict[str, object] = {"parameters": several[0].parameters, "bytes": several[0].bytes}
    for name in ("task", *MAPS):
        shown[name] = written(
            bootstrap_figure(lambda rows, seed, name=name: value(bench, several[seed], name, rows), every, seeds=len(several))  # type: ignore[misc]
        )
    return shown


def contrasts(bench: Bench, found: dict[Condition | str, list[Measured]]) -> dict[str, object]:
    """Return the paired differences of conditions, each with its interval, and whether all conditions are of one size."""
    every, shown = patients_of(bench), dict[str, object]()
    sizes = {one.bytes for condition, several in found.items() if isinstance(condition, tuple) for one in several}
    shown[f"{bench.name}_bytes"] = sorted(sizes)[0]
    shown[f"{bench.name}_bytes_spread"] = max(sizes) - min(sizes)
    for contrast, (first, second) in CONTRASTS.items():
        if not {first, second} <= set(found):
            continue
        for name in ("task", *MAPS):

            def difference(rows: np.ndarray, seed: int, name: str = name, first: Condition = first, second: Condition = second) -> float:
                return value(bench, found[first][seed], name, rows) - value(bench, found[second][seed], name, rows)

            mean, low, high = written(bootstrap_figure(difference, every, seeds=len(SEEDS)))
            shown |= {
                f"{bench.name}_{contrast}_{name}": mean,
                f"{bench.name}_{contrast}_{name}_low": low,
                f"{bench.name}_{contrast}_{name}_high": high,
            }
    return shown


def written(figure: Estimate) -> list[float]:
    """Return mean, low and high, rounded."""
    return [round(number, 4) for number in (figure.mean, figure.low, figure.high)]


def label(condition: Condition | str) -> str:
    """Return a condition's name."""
    return condition if isinstance(condition, str) else f"{condition[0]}{'_keep' if condition[1] else ''}"


if __name__ == "__main__":
    main()
