"""What the registry costs: a version registered and loaded, its serving form beside the network, tracking beside the run, a full store.

``python -m tests.benchmarks.registry --run runs/demo --json``: the last line is one JSON object. ``--run`` names a finished run, whose journals
are sent again to an empty database; ``added_seconds_tracking`` is what sending them takes, all of it beside the training.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from data_contracts import NetworkSpec, Role, Task
from medkd.registry.interface import Publication
from medkd.registry.mlflow_registry import MlflowRegistry
from medkd.registry.recipe_run import RECIPE_RUN, RUN_FOLDER, RecipeRun, TrackedTraining
from medkd.registry.search_models import search_models
from medkd.storage.manifest import pack_model
from medkd.storage.metrics_log import MetricsLog
from tests.registered import register_tiny

TASK = Task(kind="classification", classes=("benign", "malignant"), image_size=(64, 64), window=(-160.0, 240.0))
NETWORK = NetworkSpec(builder="resnet", options={"channels": (8, 16, 16, 24)})
REPEATS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="finished run whose journals are sent; without it that figure is left out")
    parser.add_argument("--versions", type=int, default=500)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--json", action="store_true", help="only the last line")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        figures = {**served(Path(scratch) / "served"), **crowded(Path(scratch) / "crowded", asked.versions, asked.runs)}
        if asked.run is not None:
            figures |= tracked(Path(scratch) / "tracked", asked.run)
    if not asked.json:
        for name, value in figures.items():
            sys.stdout.write(f"{name:32s} {value:.4g}\n")
    sys.stdout.write(json.dumps({"figures": {k: float(f"{v:.4g}") for k, v in figures.items()}, "peers": {}, "n": REPEATS}) + "\n")


def served(folder: Path) -> dict[str, float]:
    """Return the seconds of a registration with its serving form, those of loading it as pyfunc, and how far the form is from the network."""
    import mlflow.pyfunc
    from mlflow.tracking import MlflowClient

    folder.mkdir()
    register_tiny(folder / "first", TASK, NETWORK)  # libraries are read, and MLflow's files made that all versions share
    started = time.perf_counter()
    uri = register_tiny(folder / "run", TASK, NETWORK)
    seconds = time.perf_counter() - started
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'run' / 'mlflow.db'}")
    started = time.perf_counter()
    mlflow.pyfunc.load_model(uri)
    loaded = time.perf_counter() - started
    client = MlflowClient()
    metrics = client.get_run(client.get_model_version(uri.split("/")[1], "1").run_id).data.metrics
    parity = {name: metrics[name] for name in ("parity_logits", "parity_map") if name in metrics}
    return {"register_seconds": seconds, "load_seconds_pyfunc": loaded, **parity}


def crowded(folder: Path, versions: int, runs: int) -> dict[str, float]:
    """Return the seconds of a registration in an empty store and in a full one, without the making of a serving form, and of a search."""
    folder.mkdir()
    registry = MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "artifacts")
    registry.register(publication(folder, 0))
    empty = median(lambda number: registry.register(publication(folder, number)), 1)
    client, experiment = registry._client, registry.runs.experiment("crowd")
    registry._ensure_model("net")
    for number in range(runs):
        run = client.create_run(experiment, tags={"medkd.training": str(number)})
        client.log_batch(run.info.run_id, metrics=[])
        if number < versions:
            tags = {"medkd.manifest_digest": f"{number:064d}", "medkd.role": "teacher", "medkd.weights_digest": "0" * 64}
            client.create_model_version("net", f"{run.info.artifact_uri}/model", run.info.run_id, tags)
        client.set_terminated(run.info.run_id)
    full = median(lambda number: registry.register(publication(folder, number)), 100)
    search = median(lambda _: search_models(registry, "metrics.auc>=0.5 and arm=kd"), 0)
    ratio = {"register_ratio_at_500": full / empty, "search_seconds_at_500": search}
    return {"register_seconds_empty": empty, "register_seconds_at_500": full, **ratio}


def tracked(folder: Path, run: Path) -> dict[str, float]:
    """Return the seconds in which the journals of a run are sent, line by line as they came, and their share of the run and of its training."""
    folder.mkdir()
    runs = MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "artifacts").runs
    trained = sent = 0.0
    for journal in sorted((run / "training").glob("*/*/metrics.jsonl")):
        recipe, name = journal.parts[-3:-1]
        of = RecipeRun(recipe, f"key-{recipe}", {}, {RECIPE_RUN: f"key-{recipe}", RUN_FOLDER: "f", "medkd.kind": "recipe"})
        lines = MetricsLog(journal).read()
        started = time.perf_counter()
        run_id = runs.training(TrackedTraining(of, name, journal, {}, {RECIPE_RUN: of.key, RUN_FOLDER: "f"}))
        for line in lines:
            runs.log_history(run_id, [line])
        sent += time.perf_counter() - started
        trained += sum(line["seconds"] for line in lines)
    whole = json.loads((run / "summary.json").read_text(encoding="utf-8"))["seconds"]
    shares = {"added_share_of_run": sent / whole, "added_share_of_training": sent / trained if trained else 0.0}
    return {"added_seconds_tracking": sent, **shares}


def publication(folder: Path, number: int) -> Publication:
    """Return a package of one small file."""
    place = folder / "package"
    shutil.rmtree(place, ignore_errors=True)
    pack_model(place, {"weights.safetensors": str(number).encode()})
    made = Publication("net", place, Role.TEACHER, "0" * 64, number, {"medkd.arm": "kd"}, {"arm": "kd"}, {"auc": 0.5})
    return replace(made, history=({"epoch": 1, "loss": 1.0, "unix_time": 1.0},))


def median(call, first: int) -> float:
    """Return the median seconds of a call with consecutive numbers."""
    seconds = []
    for number in range(first, first + REPEATS):
        started = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
