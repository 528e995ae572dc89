"""A real tracking server that is slow, broken or gone, in the middle of trainings and of registrations."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from data_contracts import RegistryError
from medkd.registry.recipe_run import RECIPE_RUN, RUN_FOLDER, RecipeRun, TrackedTraining
from medkd.registry.search_models import search_models
from medkd.registry.ship_metrics import Cursor, MetricsShipper
from medkd.storage.metrics_log import MetricsLog
from medkd.storage.workspace import Workspace
from tests.registry.faulty_proxy import FaultyProxy
from tests.registry.publications import publication_without_weights

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_database):
    """Return the port of ``mlflow server`` on SQLite."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ, start_new_session=True)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
            break
        except OSError:
            assert process.poll() is None
            time.sleep(0.2)
    yield port
    os.killpg(process.pid, 15)
    process.wait(20)


@pytest.fixture
def proxy(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    made = FaultyProxy(server)
    yield made
    made.close()


@pytest.fixture
def client(server):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=f"http://127.0.0.1:{server}", registry_uri=f"http://127.0.0.1:{server}")


def registry_at(uri, tmp_path):
    from medkd.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(uri, artifacts=tmp_path / "unused")


def training_in(tmp_path, name="kd-0"):
    recipe = f"recipe-{tmp_path.name}"
    run = RecipeRun(recipe, f"key-{tmp_path.name}", {"recipe": recipe}, {RECIPE_RUN: f"key-{tmp_path.name}", RUN_FOLDER: "f", "medkd.kind": "recipe"})  # fmt: skip
    tags = {RECIPE_RUN: run.key, RUN_FOLDER: "f", "medkd.arm": "kd"}
    return TrackedTraining(run, name, tmp_path / "training" / name / "metrics.jsonl", {"fit.epochs": "3"}, tags)


def of(training, tmp_path):
    from dataclasses import replace

    made, journal = publication_without_weights(tmp_path), tuple(MetricsLog(training.journal).read())
    return replace(made, name=f"net-{tmp_path.name}", training=training, history=journal, measured_at=5.0)


def runs_of(client, tmp_path, name=None):
    where = client.get_experiment_by_name(f"recipe-{tmp_path.name}")
    found = client.search_runs([where.experiment_id]) if where else []
    return [run for run in found if name is None or run.info.run_name == name]


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert condition()


def steps(client, run, name="loss"):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]


def test_metrics_appear_while_a_training_runs_and_each_once_after_the_server_was_gone(proxy, client, tmp_path, monkeypatch):
    monkeypatch.setattr("medkd.registry.ship_metrics.BACK_OFF_S", (0.2,))
    workspace, training = Workspace(tmp_path, proxy.uri), training_in(tmp_path)
    log = MetricsLog(training.journal)
    log.write_epoch(1, {"loss": 9.0})  # an earlier training's, in the same place
    shipper = MetricsShipper(workspace, [training], lambda: registry_at(proxy.uri, tmp_path).runs, look_s=0.1)
    shipper.start()
    log.write_epoch(1, {"loss": 3.0})
    until(lambda: runs_of(client, tmp_path, "kd-0"))
    (run,) = runs_of(client, tmp_path, "kd-0")
    until(lambda: steps(client, run) == [(1, 3.0)])
    assert run.info.status == "RUNNING"
    for fault in ({"down": True}, {"broken": True}, {"gone_at": "runs/log-batch"}):
        for name, value in fault.items():
            setattr(proxy, name, value)
        seen, epoch = len(proxy.calls), len(log.read()) + 1
        started = time.monotonic()
        log.write_epoch(epoch, {"loss": float(epoch)})
        assert time.monotonic() - started < 1.0, "a training waits for nobody"
        until(lambda seen=seen: len(proxy.calls) > seen)
        proxy.mend()
    until(lambda: len(steps(client, run)) == 4)
    assert shipper.drain()
    assert sorted(steps(client, run)) == [(1, 3.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    times = {metric.step: metric.timestamp for metric in client.get_metric_history(run.info.run_id, "loss")}
    assert times == {int(line["epoch"]): int(1000 * line["unix_time"]) for line in log.read()}
    assert Cursor(workspace).epoch(training.key()) == 4
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    run = client.get_run(run.info.run_id)  # it was seen the moment it was made, before its parameters were sent
    assert run.data.params["fit.epochs"] == "3"
    assert parent.info.run_name == training.of.recipe
    assert client.get_experiment(run.info.experiment_id).tags["mlflow.experimentKind"] == "custom_model_development"


@pytest.mark.parametrize(
    "moment",
    [
        "runs/create",
        *(
            pytest.param(one, marks=pytest.mark.extended)
            for one in ("logged-models", "mlflow-artifacts/artifacts", "runs/log-batch", "runs/update")
        ),
        "model-versions/create",
    ],
)
def test_a_server_that_dies_in_mid_registration_leaves_one_version_and_no_run_at_work_after_the_repetition(proxy, client, tmp_path, moment):
    training = training_in(tmp_path)
    MetricsLog(training.journal).write_epoch(1, {"loss": 2.0})
    proxy.gone_at = moment
    with pytest.raises(RegistryError) as caught:
        registry_at(proxy.uri, tmp_path).register(of(training, tmp_path))
    assert caught.value.code == "REGISTRY_UNREACHABLE"
    assert "\n" not in str(caught.value)
    proxy.mend()
    again = registry_at(proxy.uri, tmp_path)
    model = again.register(of(training, tmp_path))
    assert again.register(of(training, tmp_path)) == model
    again.runs.abandon_recipe(training.of, "KILLED")
    assert [int(one.version) for one in client.search_model_versions(f"name = '{model.name}'")] == [1]
    assert again.fetch(model.uri)[0] == model
    assert {run.info.status for run in runs_of(client, tmp_path, "kd-0")} <= {"FINISHED", "KILLED"}
    assert {run.info.status for run in runs_of(client, tmp_path)} <= {"FINISHED", "KILLED"}
    kept = client.get_run(client.get_model_version(model.name, "1").run_id)
    assert steps(client, kept) == [(1, 2.0)]
    assert steps(client, kept, "auc") == [(0, 0.75)]


def test_a_version_whose_answer_was_lost_and_that_was_asked_for_again_exists_once(proxy, client, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    proxy.lose_at = "model-versions/create"
    model = registry_at(proxy.uri, tmp_path).register(of(training_in(tmp_path), tmp_path))
    assert [int(one.version) for one in client.search_model_versions(f"name = '{model.name}'")] == [model.version]


def test_a_server_that_answers_with_errors_is_one_sentence(proxy, tmp_path):
    registry = registry_at(proxy.uri, tmp_path)
    proxy.broken = True
    for call in (registry.names, lambda: registry.fetch("models:/a/1"), lambda: registry_at(proxy.uri, tmp_path)):
        with pytest.raises(RegistryError) as caught:
            call()
        assert caught.value.code in ("REGISTRY_UNREACHABLE", "REGISTRY_UNREADABLE")
        assert "\n" not in str(caught.value)


def test_a_server_is_searched_by_figures_tags_and_aliases(proxy, tmp_path):
    registry = registry_at(proxy.uri, tmp_path)
    model = registry.register(of(training_in(tmp_path), tmp_path))
    registry.set_alias(model.name, "candidate", model.version)
    (found,) = search_models(registry, f"name={model.name} and metrics.auc>=0.75 and alias=candidate and tags.cohort_digest=c").versions
    assert (found.model, found.aliases, found.metrics["auc"]) == (model, ("candidate",), 0.75)
    proxy.down = True
    with pytest.raises(RegistryError) as caught:
        search_models(registry, "alias=candidate")
    assert caught.value.code == "REGISTRY_UNREACHABLE"


@pytest.mark.extended
def test_a_server_that_takes_two_seconds_a_call_slows_registration_and_nothing_else(proxy, client, tmp_path):
    workspace, training = Workspace(tmp_path, proxy.uri), training_in(tmp_path)
    log = MetricsLog(training.journal)
    proxy.delay_s = 2.0
    shipper = MetricsShipper(workspace, [training], lambda: registry_at(proxy.uri, tmp_path).runs, look_s=0.1)
    shipper.start()
    started = time.monotonic()
    for epoch in range(1, 31):
        log.write_epoch(epoch, {"loss": 1.0 / epoch})
        time.sleep(0.05)
    assert time.monotonic() - started < 10.0
    shipper.drain(0.0)  # what is on its way and what registration sends may meet
    model = registry_at(proxy.uri, tmp_path).register(of(training, tmp_path))
    shipper._thread.join(120.0)
    (run,) = runs_of(client, tmp_path, "kd-0")
    assert [step for step, _ in sorted(steps(client, run))] == list(range(1, 31))
    assert [int(one.version) for one in client.search_model_versions(f"name = '{model.name}'")] == [1]
