"""What is asked of MLflow itself: runs, metrics, tags, absolute artefact locations, no stray folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.fixture
def parts(tmp_path, monkeypatch, empty_database):
    from mlflow.tracking import MlflowClient

    from medkd.registry.mlflow_registry import MlflowRegistry

    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    return MlflowRegistry(uri, artifacts=tmp_path / "artifacts"), MlflowClient(tracking_uri=uri), tmp_path


def publication(tmp_path):
    from data_contracts import Checkpoint, NetworkSpec, Ref, Role, Task
    from medkd.registry.interface import Publication
    from medkd.storage.manifest import pack_model

    digest = "a" * 64
    checkpoint = Checkpoint(
        role=Role.TEACHER, arm="teacher", seed=0, network=NetworkSpec(builder="resnet"), task=Task(kind="classification", classes=("a", "b")),
        weights=Ref(store="run", key="w", sha256=digest), weights_digest=digest, cohort_digest="c", recipe_digest=digest, parameters=1, epochs=2,
    )  # fmt: skip
    pack_model(tmp_path / "package", {"checkpoint.json": checkpoint.canonical_json()})
    history = ({"epoch": 1, "loss": 2.0, "seconds": 0.1}, {"epoch": 2, "loss": 1.0, "seconds": 0.1})
    tags, params, metrics = {"medkd.cohort_digest": "c"}, {"recipe": "r"}, {"auc": 0.75}
    return Publication("net", tmp_path / "package", Role.TEACHER, digest, 0, tags, params, metrics, history)


def test_a_run_holds_parameters_metrics_per_epoch_and_lineage_tags(parts):
    registry, client, folder = parts
    registry.register(publication(folder))
    version = client.get_model_version("net", "1")
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["recipe"] == "r"
    assert run.data.metrics["auc"] == 0.75
    assert [(m.step, m.value) for m in client.get_metric_history(version.run_id, "loss")] == [(1, 2.0), (2, 1.0)]
    assert version.tags["medkd.cohort_digest"] == "c"
    assert version.tags["medkd.role"] == "teacher"
    assert len(version.tags["medkd.manifest_digest"]) == 64


def test_artefacts_lie_where_they_were_asked_to_and_nowhere_else(parts):
    registry, client, folder = parts
    registry.register(publication(folder))
    run = client.get_run(client.get_model_version("net", "1").run_id)
    assert run.info.artifact_uri.startswith((folder / "artifacts").as_uri())
    assert (folder / "artifacts").is_dir()
    assert os.listdir(folder / "cwd") == []


def test_a_second_client_of_the_same_database_finds_the_version(parts):
    from medkd.registry.mlflow_registry import MlflowRegistry

    registry, _, folder = parts
    model = registry.register(publication(folder))
    other = MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "artifacts")
    assert other.fetch(model.uri)[0] == model
    assert other.register(publication(folder)) == model


def test_a_version_that_was_not_registered_by_us_is_refused(parts):
    from data_contracts import RegistryError

    registry, client, _ = parts
    client.create_registered_model("foreign")
    run = client.create_run(client.create_experiment("others"))
    client.log_text(run.info.run_id, "x", "model/manifest.json")
    client.create_model_version("foreign", source=f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    with pytest.raises(Exception, match=r"expected") as caught:
        registry.fetch("models:/foreign/1")
    assert isinstance(caught.value, RegistryError) or caught.value.code.startswith("CONTRACT")


def test_an_experiment_that_was_cut_short_is_closed_and_logged_again_once(parts):
    from medkd.registry.interface import LoggedRun

    registry, client, folder = parts
    where = registry.runs.experiment("medkd")
    dead = client.create_run(where, tags={"medkd.scoreboard": "d1"})
    (folder / "board.md").write_text("x")
    top = LoggedRun("experiment x", params={"primary": "auc"}, files=(folder / "board.md",))
    arms = [
        LoggedRun(
            "x/kd", metrics={f"m{k}": k / 7 for k in range(1200)}, history=({"epoch": 1, "oracle": 0.5}, {"epoch": 3, "oracle": 0.75})
        )
    ]
    for _ in range(2):
        registry.log_experiment("d1", top, arms)
    runs = client.search_runs([where])
    assert {r.info.run_name: r.info.status for r in runs if r.info.run_id != dead.info.run_id} == {
        "experiment x": "FINISHED",
        "x/kd": "FINISHED",
    }
    assert client.get_run(dead.info.run_id).info.status == "KILLED"
    (arm,) = [r for r in runs if r.info.run_name == "x/kd"]
    assert len(arm.data.metrics) == 1201
    assert [(m.step, m.value) for m in client.get_metric_history(arm.info.run_id, "oracle")] == [(1, 0.5), (3, 0.75)]
    assert arm.data.tags["mlflow.parentRunId"] in {r.info.run_id for r in runs}


def has_bytes(path):
    """Say whether a file has bytes; a journal may be gone before it is asked."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


@pytest.mark.extended
def test_a_kill_while_the_database_is_laid_out_leaves_nothing_that_stops_the_next(tmp_path):
    from medkd.registry.mlflow_registry import MlflowRegistry

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    code = (
        "from pathlib import Path; from medkd.registry.mlflow_registry import MlflowRegistry;"
        f"MlflowRegistry({uri!r}, artifacts=Path({str(tmp_path / 'artifacts')!r}))"
    )
    nothing_kept = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = subprocess.Popen([sys.executable, "-c", code], env=nothing_kept)
    deadline = time.monotonic() + 60
    while not any(map(has_bytes, tmp_path.glob(".mlflow.db.new*"))):  # MLflow's migrations are at work
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "mlflow.db").exists()
    assert MlflowRegistry(uri, artifacts=tmp_path / "artifacts").names() == ()
    assert not list(tmp_path.glob(".mlflow.db.new*"))


_REGISTERING = """
import sys
from pathlib import Path
from medkd.registry.mlflow_registry import MlflowRegistry
from tests.registry.publications import network_publication
folder, name = Path(sys.argv[1]), sys.argv[2]
registry = MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "mlartifacts")
for seed in range(4):
    version = registry.register(network_publication(folder / name, seed, name))
    registry.attach(version, {}, {"medkd.beside": str(seed)})
"""


@pytest.mark.extended
def test_processes_that_register_different_models_in_one_new_database_do_not_stop_each_other(tmp_path):
    from medkd.registry.mlflow_registry import MlflowRegistry

    command = [sys.executable, "-c", _REGISTERING, str(tmp_path)]
    root = Path(__file__).parents[2]
    started = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True, cwd=root) for name in ("one", "two", "three")]
    for process in started:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-2000:]
    registry = MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", artifacts=tmp_path / "mlartifacts")
    for name in ("one", "two", "three"):
        assert [registry.tags(version)["medkd.beside"] for version in registry.versions(name)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("said", ["(sqlite3.IntegrityError) UNIQUE constraint failed: x", "duplicate key value violates unique constraint"])
def test_a_tag_that_another_one_made_at_the_same_moment_is_set_all_the_same(parts, monkeypatch, said):
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST

    registry, client, folder = parts
    registry.register(publication(folder))
    own, refused = registry._client.set_registered_model_tag, [said]

    def contested(*arguments):
        if refused:
            client.set_registered_model_tag("net", "lock", "of another one")
            raise MlflowException(refused.pop(), error_code=BAD_REQUEST)
        own(*arguments)

    monkeypatch.setattr(registry._client, "set_registered_model_tag", contested)
    registry.set_name_tag("net", "lock", "own")
    assert registry.name_tags("net")["lock"] == "own"
    for _ in range(2):  # removing what is gone is no error
        registry.set_name_tag("net", "lock", None)
    assert "lock" not in registry.name_tags("net")
    refused += ["something else"]
    with pytest.raises(MlflowException, match="something else"):
        registry.set_name_tag("net", "lock", "own")
