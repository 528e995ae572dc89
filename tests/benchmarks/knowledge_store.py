"""What a knowledge store costs in bytes and in truth, on the real hippocampus teacher, and read speed.

``medkd run flows/recipes/hippocampus_store.yaml`` first (or ``medkd extract-knowledge``): its registered teacher is asked about every training case.
``python -m tests.benchmarks.knowledge_store --run runs/hippocampus-store --json``; the 2D teacher is that of the phantom segmentation.

- ``bytes_ratio``, ``bytes_ratio_2d``: bytes of a store of logits, index included, over those of the same logits as float32.
- ``kl``, ``argmax_agreement``: replayed against live, per voxel, mean over all cases (least and most below).
- ``read_mb_s``: float32 megabytes decoded in a CPU second, one thread.
- ``kl_AUGMENTATION``, ``agreement_…``: the clean answers moved along with a drawn view, against the live teacher asked about the view itself
  (valid voxels); ``kl_frozen_affine``: drawn views that were stored, which leaves the codec's error alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional

import flows
from data_contracts import ExtractionConfig, KnowledgeRef, RegistryError
from medkd.cohorts.open_cohort import open_for_training
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.knowledge.codec import LogitCodec
from medkd.knowledge.extract import Extraction, ExtractionQuery, sample_digests
from medkd.knowledge.interface import LiveKnowledge
from medkd.knowledge.shards import ShardReader
from medkd.knowledge.stored import with_teacher_outputs
from medkd.models._load import load_network
from medkd.registry.load_version import load_registered
from medkd.registry.publish import open_registry
from medkd.storage.store import Store
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe
from medkd.training.train import train_teacher
from medkd.volumes.augment import draw_view

RECIPES = Path(flows.__file__).parent / "recipes"
BATCHES = 6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", type=Path, default=Path("runs/hippocampus-store"))
    parser.add_argument("--model", default="models:/hippocampus-store-teacher/1")
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe, teacher, cohort = hippocampus(given.run, given.model)
    with tempfile.TemporaryDirectory() as folder:
        figures, spread = sizes_and_truth(recipe, teacher, cohort, Store(Path(folder) / "a"), ExtractionConfig())
        figures |= under_views(recipe, teacher, cohort, Store(Path(folder) / "b"))
        flat = phantom(Path(folder) / "c")
        more, _ = sizes_and_truth(*flat, Store(Path(folder) / "d"), ExtractionConfig())
        figures |= {f"{name}_2d": value for name, value in more.items()}
    if not given.json:
        for name, value in figures.items():
            sys.stdout.write(f"{name:32s} {value:.6g}\n")
    sys.stdout.write(json.dumps({"figures": figures, "peers": {}, "n": len(cohort), "least_and_most": spread}) + "\n")


def hippocampus(run: Path, uri: str):
    """Return the recipe, its registered teacher and the students' cases."""
    recipe = read_recipe(RECIPES / "hippocampus_store.yaml")
    if not (run / "mlflow.db").is_file():
        raise RegistryError("REGISTRY_MISSING", f"expected a finished run at {run}: medkd run flows/recipes/hippocampus_store.yaml")
    registry = open_registry(local_workspace(run))
    _, _, teacher = load_registered(registry, uri)
    workspace = local_workspace(Path(tempfile.mkdtemp()), data_root=Path(os.environ.get("MEDKD_DATA", "../shared/data")))
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, workspace.data_root))
    return recipe, teacher, open_for_training(cohorts, "student_train/0", workspace.store, recipe.task)


def phantom(folder: Path):
    """Return the recipe, a freshly trained teacher and the students' cases of the phantom segmentation."""
    recipe = read_recipe(RECIPES / "phantom-segmentation.yaml")
    workspace = local_workspace(folder)
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teacher = load_network(workspace, train_teacher(workspace, recipe.teacher_training(), cohorts))
    return recipe, teacher, open_for_training(cohorts, "unlabelled/0", workspace.store, recipe.task)


def extract(recipe, teacher, cohort, store: Store, config: ExtractionConfig, views=None) -> tuple[Extraction, KnowledgeRef]:
    """Write a store and return what it is the answer to, and its record."""
    extraction = Extraction(teacher, ExtractionQuery("a" * 64, recipe.task, config, views))
    shards = tuple(ref for ref, _ in extraction.write(cohort, sample_digests(cohort), store, "knowledge", label="bench"))
    record = KnowledgeRef(
        teacher_digest="a" * 64, task=recipe.task, config=config, views=views, cohorts=("c" * 64,), cases=len(cohort), entries=len(cohort), shards=shards
    )  # fmt: skip
    return extraction, record


def sizes_and_truth(recipe, teacher, cohort, store: Store, config: ExtractionConfig):
    """Return bytes, fidelity and read speed of a store of clean logits."""
    extraction, record = extract(recipe, teacher, cohort, store, config)
    reader, codec = ShardReader(store, record.shards, query_digest=extraction.query.digest()), LogitCodec.of(config)
    kls, agreements, raw, seconds = [], [], 0, 0.0
    for image, digest in zip(cohort.images, sample_digests(cohort), strict=True):
        live = extraction.ask_volume(image)["logits"] if image.ndim == 4 else extraction.ask(image[None])["logits"][0]
        payload = reader.read(extraction.query.key(digest, None), "logits")
        started = time.process_time()
        replayed = codec.decode(payload)
        seconds += time.process_time() - started
        raw += live.numel() * 4
        kl, agreement = apart(live[None], replayed[None])
        kls.append(kl)
        agreements.append(agreement)
    stored = sum(store.path(ref).stat().st_size for ref in record.shards)
    figures = {
        "bytes_ratio": stored / raw,
        "kl": statistics.mean(kls),
        "argmax_agreement": statistics.mean(agreements),
        "read_mb_s": raw / 1e6 / seconds,
    }
    return figures, {"kl": [min(kls), max(kls)], "argmax_agreement": [min(agreements), max(agreements)]}


def under_views(recipe, teacher, cohort, store: Store) -> dict[str, float]:
    """Return how far stored answers that were moved along are from the live teacher's about the moved image."""
    _, record = extract(recipe, teacher, cohort, store, ExtractionConfig())
    figures: dict[str, float] = {}
    for resolution in ("full", "half"):
        held = with_teacher_outputs(cohort, record, store, ("logits",), resolution=resolution)
        for augment in ("none", "flip", "affine"):
            config = recipe.student.fit.model_copy(update={"augment": augment})
            values = [view_error(held, recipe, teacher, config, seed) for seed in range(BATCHES)]
            suffix = f"{augment}" if resolution == "full" else f"{augment}_half"
            figures[f"kl_{suffix}"] = statistics.mean(kl for kl, _ in values)
            figures[f"agreement_{suffix}"] = statistics.mean(agreement for _, agreement in values)
    config = recipe.student.fit
    some = cohort.select(torch.arange(16))
    _, record = extract(recipe, teacher, some, store, ExtractionConfig(views=2), views=config)
    values = [view_error(with_teacher_outputs(some, record, store, ("logits",)), recipe, teacher, config, seed) for seed in range(BATCHES)]
    figures["kl_frozen_affine"] = statistics.mean(kl for kl, _ in values)
    figures["agreement_frozen_affine"] = statistics.mean(agreement for _, agreement in values)
    return figures


def view_error(held, recipe, teacher, config, seed: int) -> tuple[float, float]:
    """Return (KL, agreement) on the valid voxels of one drawn batch."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(held), (4,), generator=generator)
    sample = draw_view(held.draw(rows, recipe.task, config, generator), config.augment, generator)
    live, replayed = LiveKnowledge(teacher, sample.inputs).logits(), sample.teacher["logits"]
    valid = sample.valid_mask
    if replayed.shape != live.shape:
        live, valid = functional.avg_pool3d(live, 2), functional.avg_pool3d(valid[:, None].float(), 2)[:, 0] > 0.5
    return apart(live, replayed, valid)


def apart(live, replayed, valid=None) -> tuple[float, float]:
    """Return mean KL(live || replayed) and the share of equal answers, over valid voxels of [batch, classes, *space]."""
    log_p, log_q = (functional.log_softmax(logits.double(), 1) for logits in (live, replayed))
    kl = (log_p.exp() * (log_p - log_q)).sum(1)
    same = live.argmax(1) == replayed.argmax(1)
    inside = torch.ones_like(same) if valid is None else valid
    return float(kl[inside].mean()), float(same[inside].double().mean())


if __name__ == "__main__":
    main()
