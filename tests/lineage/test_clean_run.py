"""Cleaning up a run: nothing goes that something needs, everything else goes for good, and a removal that was killed is finished."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from data_contracts import RetentionPolicy, Role
from medkd.lineage.clean_run import clean_run, judge_run
from tests.registry.registered_versions import open_in, publish, register_lineage

NOW = RetentionPolicy(keep_days=0)


@pytest.fixture(scope="module")
def template(tmp_path_factory, empty_database):
    """Return a run with a lineage, and three versions of another arm with a teacher of their own."""
    folder = tmp_path_factory.mktemp("gc") / "run"
    registry = open_in(folder, empty_database)
    register_lineage(registry, folder)
    for number in range(2):
        publish(registry, folder, "old-teacher", role=Role.TEACHER, content=str(number))
    for number, teacher in enumerate([1, 0, 0]):
        publish(registry, folder, "old-kd", content=str(number), teacher=registry.versions("old-teacher")[teacher])
    return folder


@pytest.fixture
def run(template, tmp_path):
    shutil.copytree(template, tmp_path / "run")
    return tmp_path / "run"


def judged(run, policy=NOW):
    return judge_run(run, open_in(run, run / "mlflow.db"), policy)


def versions(found):
    return {one.name: one.why for one in found if one.kind == "version" and one.stays}


def rows(run, *tables):
    """Return the number of rows by table; MLflow keeps the number of a version that was deleted, so that none gets it again."""
    living = {"model_versions": "WHERE current_stage != 'Deleted_Internal'"}
    with closing(sqlite3.connect(run / "mlflow.db")) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table} {living.get(table, '')}").fetchone()[0] for table in tables}


TABLES = (
    "model_versions",
    "logged_models",
    "logged_model_tags",
    "logged_model_params",
    "logged_model_metrics",
    "runs",
    "metrics",
    "params",
    "tags",
)


def test_what_stays_says_why(run):
    open_in(run, run / "mlflow.db").set_alias("old-kd", "champion", 1)
    found = judged(run)
    assert versions(found) == {
        "r-kd/1": "a report was made with it",
        "r-teacher/1": "the only version",
        "r-knowledge/1": "the only version",
        "old-kd/1": "alias champion",
        "old-kd/3": "the newest version",
        "old-teacher/2": "the newest version",
        "old-teacher/1": "old-kd/3 descends from it",
    }
    assert [one.name for one in found if one.kind == "version" and not one.stays] == ["old-kd/2"]


def test_saying_changes_nothing(run):
    before = {path: path.read_bytes() for path in (run / "mlartifacts").rglob("*") if path.is_file()}, rows(run, *TABLES)
    judged(run)
    assert ({path: path.read_bytes() for path in (run / "mlartifacts").rglob("*") if path.is_file()}, rows(run, *TABLES)) == before


def test_what_young_things_are_is_the_policys_to_say(run):
    assert versions(judged(run, RetentionPolicy(keep_days=5)))["old-kd/2"] == "younger than 5 days"
    found = judged(run, RetentionPolicy(keep_days=0, keep_newest=2))
    assert versions(found)["old-kd/2"] == "one of the newest versions"
    assert "r-kd/1" in versions(judged(run, RetentionPolicy(keep_days=0, keep_reported=False)))


def test_a_version_goes_with_its_logged_model_its_run_and_its_files(run):
    before = rows(run, *TABLES)
    removed = clean_run(judged(run))
    assert [one.name for one in removed if one.kind == "version"] == ["old-kd/2", "old-kd/1"]
    after = rows(run, *TABLES)
    assert {table: before[table] - after[table] for table in ("model_versions", "logged_models", "runs")} == {
        "model_versions": 2, "logged_models": 2, "runs": 2
    }  # fmt: skip
    assert all(after[table] < before[table] for table in TABLES if before[table])
    with closing(sqlite3.connect(run / "mlflow.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs WHERE lifecycle_stage = 'deleted'").fetchone() == (0,)
    assert len(list((run / "mlartifacts" / "models").iterdir())) == after["logged_models"]
    registry = open_in(run, run / "mlflow.db")
    for uri in ("models:/old-kd/3", "models:/r-kd/1", "models:/r-knowledge/1", "models:/old-teacher/1"):
        registry.fetch(uri)
    assert [one for one in judged(run) if not one.stays] == []


@pytest.mark.parametrize("step", ["delete_model_version", "delete_logged_model", "delete_run"])
def test_a_removal_that_was_killed_is_finished_by_the_next(run, monkeypatch, step):
    from mlflow.tracking import MlflowClient

    whole = getattr(MlflowClient, step)

    class KilledError(BaseException):
        pass

    def killed(self, *arguments):
        whole(self, *arguments)
        raise KilledError

    monkeypatch.setattr(MlflowClient, step, killed)
    with pytest.raises(KilledError):
        clean_run(judged(run))
    monkeypatch.undo()
    clean_run(judged(run))
    assert rows(run, "model_versions", "logged_models") == {"model_versions": 6, "logged_models": 6}
    assert len(list((run / "mlartifacts" / "models").iterdir())) == 6
    with closing(sqlite3.connect(run / "mlflow.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (6,)
    assert [one for one in judged(run) if not one.stays] == []


def test_a_folder_that_mlflow_knows_nothing_of_goes_and_anything_elses_does_not(run):
    for name in (f"models/m-{'0' * 32}", "0" * 32, "notes"):
        (run / "mlartifacts" / name).mkdir()
        (run / "mlartifacts" / name / "file").write_text("x")
    assert {one.name for one in judged(run) if one.kind == "artefact folder"} == {f"models/m-{'0' * 32}", "0" * 32}


def stored(run, key, text):
    path = run / "store" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - 90 * 86400,) * 2)
    return {"store": "run", "key": key, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def remembered(run, name, value, *, seal=None):
    (run / "stages").mkdir(exist_ok=True)
    payload = json.dumps(value).encode()
    for suffix, content in ((".json", payload), (".sha256", (seal or hashlib.sha256(payload).hexdigest()).encode())):
        path = run / "stages" / f"{name}{suffix}"
        path.write_bytes(content)
        os.utime(path, (time.time() - 90 * 86400,) * 2)


@pytest.fixture
def with_store(run):
    image = stored(run, "cohorts/image", "image")
    cohort = stored(run, "cohorts/c.json", json.dumps({"cases": [{"image": image}]}))
    remembered(run, "prepare-1", {"uses": {"test": {"cohort": cohort}}})
    remembered(run, "altered-1", {"file": stored(run, "altered", "x")}, seal="0" * 64)
    remembered(run, "old-1", {"file": stored(run, "old", "x")})
    remembered(
        run,
        "of-a-version-1",
        {"split": open_in(run, run / "mlflow.db").versions("r-kd")[0].weights_digest, "file": stored(run, "made", "x")},
    )
    stored(run, "nobodys/file", "x")
    artefact = stored(run, "explanations/one/explanation.json", "{}")
    for name in ("manifest.json", "arrays.safetensors"):
        stored(run, f"explanations/one/{name}", "{}")
        stored(run, f"explanations/two/{name}", "{}")
    remembered(run, "explain-1", {"records": [artefact]})
    stored(run, "ingested/r/.medkd-folder", "{}")
    stored(run, "ingested/r/volumes/v", "x")
    stored(run, f".half.123{'.medkd-partial'}", "x")
    return run


def test_files_that_no_record_refers_to_go(with_store):
    going = {one.name for one in judged(with_store, RetentionPolicy(keep_days=30)) if not one.stays}
    assert going == {"altered-1.json", "altered", "nobodys/file", "explanations/two", "store/.half.123.medkd-partial"}
    clean_run(judged(with_store, RetentionPolicy(keep_days=30)))
    left = {path.relative_to(with_store / "store").as_posix() for path in (with_store / "store").rglob("*") if path.is_file()}
    assert {"cohorts/image", "cohorts/c.json", "old", "made", "ingested/r/volumes/v", "explanations/one/arrays.safetensors"} <= left
    assert not (with_store / "store" / "nobodys").exists()
    assert not (with_store / "store" / "explanations" / "two").exists()
    assert not list((with_store / "stages").glob("altered-1*"))


def test_old_results_go_where_the_policy_says_so_unless_a_kept_version_is_made_of_them(with_store):
    going = {one.name for one in judged(with_store, RetentionPolicy(keep_days=30, stage_days=60)) if not one.stays}
    assert {"old-1.json", "old", "prepare-1.json", "cohorts/image"} <= going
    assert not {"of-a-version-1.json", "made"} & going


def test_young_files_stay(with_store):
    os.utime(with_store / "store" / "nobodys" / "file")
    assert {one.name: one.why for one in judged(with_store, RetentionPolicy()) if one.stays}["nobodys/file"] == "younger than 30 days"


def test_packages_of_versions_that_go_go_with_them(run):
    found = {one.name: one.stays for one in judged(run) if one.kind == "package"}
    assert found["packages/r-kd-"]
    assert not found["packages/old-kd-1"]
