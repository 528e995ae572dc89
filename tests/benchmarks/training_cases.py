"""What the nearest training cases of a finding say: whether they have its label or size, how often an ordinary case is called far, and how often a strange one is.

``python -m tests.benchmarks.training_cases --run runs/demo --json`` asks every student of a finished demo; the last line is one JSON object. Strange pictures are test
pictures changed: ``noise``, ``inverted``, ``upside_down``, ``contrast`` (twice), ``blurred`` (9 pixels), ``enlarged`` (the middle half).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional

from data_contracts import Checkpoint, CohortSet, SimilarCases, Subset, TaskKind, load_record
from medkd.evaluation.describe_training import _Asked, _asked_of, _features, describe_training
from medkd.inference.nearest_cases import FAR, ComparedFinding, TrainingCases, similar_cases
from medkd.models._load import load_network
from medkd.registry.training_features import read_training_cases
from medkd.storage.workspace import Workspace, local_workspace

STRANGE: dict[str, Callable[[Tensor], Tensor]] = {
    "noise": lambda image: torch.rand_like(image) * 2 - 1,
    "inverted": lambda image: -image,
    "upside_down": lambda image: image.flip(-2),
    "contrast": lambda image: (2 * image).clamp(-1, 1),
    "blurred": lambda image: functional.avg_pool2d(image, 9, 1, 4),
    "enlarged": lambda image: functional.interpolate(image[None, ..., 16:48, 16:48], size=image.shape[-2:], mode="bilinear")[0],
}
MOST = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished demo, which is only read")
    parser.add_argument("--json", action="store_true", help="only the last line")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    source = local_workspace(asked.run)
    cohorts = [load_record(path, CohortSet) for path in sorted(asked.run.glob("stages/prepare*.json"))]
    for path in sorted(asked.run.glob("stages/distill-*.json")):
        student = load_record(path, Checkpoint)
        own = next(one for one in cohorts if student.task.kind.value in next(iter(one.uses.values())).cohort.key)
        name = f"{student.task.kind.value}/{student.arm}-{student.seed}"
        found[name] = measured(source, own, student)
        if not asked.json:
            sys.stdout.write(f"{name}: {json.dumps(found[name])}\n")
    sys.stdout.write(json.dumps({"figures": found, "peers": {}, "n": len(found)}) + "\n")


def measured(source: Workspace, cohorts: CohortSet, student: Checkpoint) -> dict[str, float]:
    """Return the figures of one student."""
    subsets = tuple(
        name
        for name in (Subset.STUDENT_TRAIN.of(student.seed), *((Subset.UNLABELLED.of(student.seed),) if student.arm != "alone" else ()))
        if name in cohorts.uses
    )
    network, task = load_network(source, student), student.task
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        described = describe_training.__wrapped__(_Elsewhere(source, Path(scratch)), "r", cohorts, student, subsets)
        seconds = time.perf_counter() - started
        training = read_training_cases(described, Path(scratch) / described.array.key, where="here")
        size = (Path(scratch) / described.array.key).stat().st_size
    test = "debiased" if task.kind is TaskKind.CLASSIFICATION else "test"
    asked = [one for case in _asked_of(network, cohorts, test, source.store, task) for one in case]
    ordinary = compared(asked, _features(network, asked)[0], training)
    figures = {"seconds": seconds, "bytes": size, "items": len(described.items), "asked": len(asked), "far": far(ordinary)}
    figures |= agreement(task.kind, asked, ordinary)
    for name, change in STRANGE.items():
        odd = [replace(one, image=change(one.image)) for one in asked[:MOST]]
        figures[f"far_{name}"] = far(compared(odd, _features(network, odd)[0], training))
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


class _Elsewhere:
    """A workspace whose store is read, and what is written goes to another folder."""

    def __init__(self, source: Workspace, scratch: Path) -> None:
        self._source, self._scratch = source, local_workspace(scratch).store
        self._scratch.root = scratch
        self.store = self

    def __getattr__(self, name: str) -> object:
        return getattr(self._scratch if name == "write_arrays" else self._source.store, name)


def compared(asked: Sequence[_Asked], features: np.ndarray, training: TrainingCases) -> list[SimilarCases]:
    """Return what lies nearest to each."""
    items = [one.item for one in asked]
    return [similar_cases(ComparedFinding(0, 1, i.label, i.patient_key, row), training) for i, row in zip(items, features, strict=True)]


def far(found: Sequence[SimilarCases]) -> float:
    """Return the share that is called far."""
    return float(np.mean([one.nearer is not None and one.nearer >= FAR for one in found]))


def agreement(kind: TaskKind, asked: Sequence[_Asked], found: Sequence[SimilarCases]) -> dict[str, float]:
    """Return the share of the nearest that have the label and what chance gives, or the rank correlation of size with their mean size."""
    pairs = list(zip(asked, found, strict=True))
    if kind is TaskKind.CLASSIFICATION:
        same = np.mean([[case.label == one.item.label for case in near.cases] for one, near in pairs])
        return {"same_label": float(same)}
    means = [np.mean([case.voxels or 0 for case in near.cases]) for _, near in pairs]
    return {"size_rank_correlation": float(spearmanr(means, [one.item.voxels for one, _ in pairs])[0])}


if __name__ == "__main__":
    main()
