"""The tracking server of a recipe is killed while it trains, and again while it registers; the same command ends as if nothing had been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import flows
from medkd.storage.metrics_log import MetricsLog
from tests.registry.tracking_process import TrackingProcess

#: Four runs of a small recipe: minutes of two cores.
pytestmark = [pytest.mark.extended, pytest.mark.timeout(1800)]
RECIPE = Path(flows.__file__).parent / "recipes" / "phantom-segmentation.yaml"
SETTINGS = [
    "data.teacher=48", "data.teacher_validation=16", "data.student=16", "data.unlabelled=16", "data.test=16", "seeds=[0]", "teacher.fit.epochs=3",
    "student.fit.epochs=3", "student.fit.samples_per_epoch=32", "teacher.fit.batch_size=16", "student.fit.batch_size=16",
    "teacher.gate.enforce=false", "teacher.network.options.channels=[4, 8]", "student.network.options.channels=[4, 8]", "explain.cases=2",
]  # fmt: skip


def command(out, *more):
    settings = [part for value in SETTINGS for part in ("--set", value)]
    return [sys.executable, "-m", "flows.cli", "run", str(RECIPE), "--out", str(out), "--engine", "none", "--json", *settings, *more]


def start(out, *more):
    environment = {**os.environ, "MEDKD_WORKERS": "0"}
    return subprocess.Popen(command(out, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def ended(process):
    """Return status, summary (none where it failed) and what was said of the error."""
    out, errors = process.communicate(timeout=900)
    return process.returncode, json.loads(out.splitlines()[-1]) if out.strip() else None, errors


def kill_when(moment, process, server):
    """Kill the server at a moment that must come while the process is at work."""
    deadline = time.monotonic() + 600
    while not moment():
        assert process.poll() is None, process.communicate()[1][-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.poll() is None
    server.kill()


def test_a_server_that_is_killed_twice_loses_nothing_and_doubles_nothing(tmp_path, empty_database):
    from mlflow.tracking import MlflowClient

    server, out = TrackingProcess(tmp_path / "server", empty_database), tmp_path / "run"
    server.start()
    try:
        # While the teacher trains: training goes on to its end, and what cannot be registered is one sentence.
        process = start(out, "--tracking-uri", server.uri)
        kill_when(lambda: any(MetricsLog(path).read() for path in out.glob("training/*/*/metrics.jsonl")), process, server)
        status, _, errors = ended(process)
        assert_one_sentence(status, errors)
        trained = {path.parent.name: path.read_bytes() for path in out.glob("store/models/**/*.safetensors")}
        server.start()
        # While it registers: as soon as the first file of a version has come.
        process = start(out, "--tracking-uri", server.uri)
        kill_when(lambda: any((server.folder / "artifacts").rglob("weights.safetensors")), process, server)
        status, _, errors = ended(process)
        assert_one_sentence(status, errors)
        server.start()
        status, summary, errors = ended(start(out, "--tracking-uri", server.uri))
        assert status == 0, errors[-3000:]
        assert {path.parent.name: path.read_bytes() for path in out.glob("store/models/**/*.safetensors")} == trained
        status, undisturbed, errors = ended(start(tmp_path / "undisturbed"))
        assert status == 0, errors[-3000:]
        assert [(one["name"], one["version"], one["digest"]) for one in summary["models"]] == [
            (one["name"], 1, one["digest"]) for one in undisturbed["models"]
        ]
        check(MlflowClient(tracking_uri=server.uri, registry_uri=server.uri), summary, out)
    finally:
        server.kill()


def assert_one_sentence(status, errors):
    assert status == 2, errors[-3000:]
    assert "Traceback" not in errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith("REGISTRY_UNREACHABLE: expected")
    assert "repeat the command" in last or "start it" in last


def check(client, summary, out):
    """Every version once, every metric of every epoch once, and nothing left at work."""
    for model in client.search_registered_models():
        assert [int(one.version) for one in client.search_model_versions(f"name = '{model.name}'")] == [1], model.name
    assert {model["name"] for model in summary["models"]} == {model.name for model in client.search_registered_models()}
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = client.search_runs(experiments)
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    journals = {path.parent.name: MetricsLog(path).read() for path in out.glob("training/*/*/metrics.jsonl")}
    finished = {run.info.run_name: run for run in runs if run.info.run_name in journals and run.info.status == "FINISHED"}
    assert set(finished) == set(journals)
    for name, lines in journals.items():
        points = client.get_metric_history(finished[name].info.run_id, "loss")
        assert sorted((point.step, point.value) for point in points) == [(int(line["epoch"]), line["loss"]) for line in lines]
