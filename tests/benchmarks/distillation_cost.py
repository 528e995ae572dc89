"""What distillation costs: a step that learns soft labels and explanations over the step that learns labels alone.

``python -m tests.benchmarks.distillation_cost --json`` (real hippocampus data below ``MEDKD_DATA``): steps of the training loop itself, from
drawing the batch to the optimiser, one thread, bf16; ratios of CPU seconds, medians over repeats with the least and the most. Within a repeat
the ways take their steps in turn, one by one.

- ``store_ratio``: KD and attribution from a knowledge store (replayed at half resolution) over the plain step; the larger of the two
  recipes. ``store_full_ratio_*``: the same at full resolution.
- ``live_cam_over_live_kd``: a live teacher's KD with class maps over its KD alone; the larger of the two.
- ``naive_ratio_*``: a live float32 teacher in every step over the plain step.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

import flows
from data_contracts import Arm, KnowledgeRef, LossTerm, Recipe, Role
from medkd.cohorts.open_cohort import open_for_training
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.knowledge.extract import Extraction, ExtractionQuery, sample_digests
from medkd.knowledge.source import LiveSource
from medkd.knowledge.stored import StoredSource, with_teacher_outputs
from medkd.models._build import build_network
from medkd.storage.workspace import local_workspace
from medkd.training.batches import epoch_samples
from medkd.training.extract_knowledge import completed_config
from medkd.training.fit import FitRequest, Trainer, open_fabric
from medkd.training.objective import Objective
from medkd.training.recipes import network_spec, read_recipe
from medkd.training.requirements import requirements_of

REPEATS = 15
#: Recipe, its terms beside the labels, and steps of one repeat.
RECIPES = {
    "hippocampus": (
        "hippocampus_store.yaml",
        LossTerm(loss="logit_kd", options={"temperature": 2.0, "background": 0.1, "dilation": 2}),
        LossTerm(loss="attribution_transfer", weight=0.2, options={"grid": 20}),
        12,
    ),
    "classifier": (
        "shortcut.yaml",
        LossTerm(loss="logit_kd"),
        LossTerm(loss="attribution_transfer", weight=10.0, options={"distance": "squared"}),
        42,
    ),
}


class Float32Teacher(LiveSource):
    """The naive way: a teacher asked in float32 whatever the student runs in."""

    def for_batch(self, sample):
        knowledge = super().for_batch(sample)
        with torch.autocast("cpu", enabled=False):
            knowledge.logits()
        return knowledge


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures, spread = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in RECIPES:
            seconds = measure(name, Path(folder) / name, given.repeats)
            for figure, above, below in (
                ("store_ratio", "store", "plain"),
                ("store_full_ratio", "store_full", "plain"),
                ("live_cam_over_live_kd", "live_cam", "live_kd"),
                ("live_ratio", "live_cam", "plain"),
                ("naive_ratio", "naive", "plain"),
            ):
                ratios = [a / b for a, b in zip(seconds[above], seconds[below], strict=True)]
                figures[f"{figure}_{name}"] = round(statistics.median(ratios), 4)
                spread[f"{figure}_{name}"] = [round(min(ratios), 4), round(max(ratios), 4)]
            figures[f"plain_step_ms_{name}"] = round(1000 * statistics.median(seconds["plain"]), 1)
    for figure in ("store_ratio", "live_cam_over_live_kd"):
        figures[figure] = max(figures[f"{figure}_{name}"] for name in RECIPES)
    if not given.json:
        for name, value in figures.items():
            sys.stdout.write(f"{name:40s} {value:8.3f}  {spread.get(name, '')}\n")
    sys.stdout.write(json.dumps({"figures": figures, "peers": {}, "n": given.repeats, "least_and_most": spread}) + "\n")


def measure(name: str, folder: Path, repeats: int) -> dict[str, list[float]]:
    """Return CPU seconds per step of each way, one value per repeat."""
    file, kd, attribution, steps = RECIPES[name]
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / file)
    workspace = local_workspace(folder, data_root=Path(os.environ.get("MEDKD_DATA", "../shared/data")))
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, workspace.data_root))
    label, both = LossTerm(loss="cross_entropy"), (LossTerm(loss="cross_entropy"), kd, attribution)
    teacher = build_network(network_spec(recipe, Role.TEACHER), seed=1)
    cohort = open_for_training(cohorts, f"student_train/{recipe.seeds[0]}", workspace.store, recipe.task)
    record, stored = details(workspace, recipe, cohort, teacher, both)
    _, whole = details(workspace, recipe, cohort, teacher, both, resolution="full")
    ways = {
        "plain": ((label,), cohort, None),
        "store": (both, stored, StoredSource(record, recipe.task.classes)),
        "store_full": (both, whole, StoredSource(record, recipe.task.classes)),
        "live_kd": ((label, kd), cohort, LiveSource(teacher)),
        "live_cam": (both, cohort, LiveSource(teacher)),
        "naive": (both, cohort, Float32Teacher(teacher)),
    }
    runs = {way: Steps(recipe, terms, cases, source, folder / way) for way, (terms, cases, source) in ways.items()}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for steps_of in runs.values():  # warms up, and decodes what the store keeps in memory
        steps_of.take(len(cohort) // recipe.student.fit.batch_size + 1)
    names = list(runs)
    for repeat in range(repeats):
        taken = dict.fromkeys(runs, 0.0)
        # Step by step in turn, each way first as often: a machine that slows down for a second slows all of them.
        for step in range(steps):
            first = (repeat * steps + step) % len(names)
            for way in names[first:] + names[:first]:
                taken[way] += runs[way].take(1) / steps
        for way, each in taken.items():
            seconds[way].append(each)
    return seconds


def details(workspace, recipe: Recipe, cohort, teacher, terms, resolution="half") -> tuple[KnowledgeRef, object]:
    """Extract what the terms need and return the record and the cohort that carries it."""
    stored_recipe = recipe.model_copy(update={"arms": {"kd": Arm(terms=terms, knowledge="store")}})
    config = completed_config(stored_recipe.extraction(), teacher)
    extraction = Extraction(teacher, ExtractionQuery("a" * 64, recipe.task, config))
    shards = [ref for ref, _ in extraction.write(cohort, sample_digests(cohort), workspace.store, "knowledge", label="bench")]
    record = KnowledgeRef(
        teacher_digest="a" * 64, task=recipe.task, config=config, cohorts=("c" * 64,), cases=len(cohort), entries=len(cohort), layers=extraction.shapes(),
        maps=tuple(one.explainer for one in config.maps), head_bias=extraction.head_bias(), shards=tuple(shards),
    )  # fmt: skip
    student = build_network(network_spec(recipe, Role.STUDENT))
    needed = requirements_of(stored_recipe.arms["kd"], recipe.task, student, StoredSource(record, recipe.task.classes))
    return record, with_teacher_outputs(cohort, record, workspace.store, needed.parts(), resolution=resolution)


class Steps:
    """The training loop of one way, taken some steps at a time."""

    def __init__(self, recipe: Recipe, terms, cohort, source, folder: Path) -> None:
        config = recipe.student.fit.model_copy(update={"epochs": 1000})
        self.request = FitRequest(config, recipe.task, 0, folder, "k")
        self.run = Trainer(
            build_network(network_spec(recipe, Role.STUDENT), seed=0),
            Objective(terms),
            cohort,
            self.request,
            open_fabric(self.request),
            source,
        )
        with self.run.bar():
            self.run.resume()
        self._drawn = self._samples()

    def _samples(self):
        request = self.request
        for epoch in itertools.count():
            yield from enumerate(epoch_samples(self.run.cohort, request.task, request.fit, seed=request.seed, epoch=epoch))

    def take(self, steps: int) -> float:
        """Return the CPU seconds of a step."""
        started = time.process_time()
        for _ in range(steps):
            self.run.batch(*next(self._drawn))
        return (time.process_time() - started) / steps


if __name__ == "__main__":
    main()
