"""A run folder that was renamed, copied or mounted elsewhere works as before, for medkd and for a plain MLflow client."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from data_contracts import NetworkSpec, RegistryError, Task
from medkd.registry.relocate import find_relocation
from tests.registered import register_tiny

URI = "models:/tiny-teacher/1"


@pytest.fixture(scope="module")
def registered(tmp_path_factory, empty_database):
    folder = tmp_path_factory.mktemp("runs") / "first"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    task = Task(kind="classification", classes=("a", "b"), image_size=(16, 16))
    register_tiny(folder, task, NetworkSpec(builder="resnet"))
    return folder


@pytest.fixture
def run(registered, tmp_path):
    """Return a run that lies where its database says, and may be changed."""
    shutil.copytree(registered, tmp_path / "run")
    open_run(tmp_path / "run")
    return tmp_path / "run"


def open_run(folder: Path):
    from medkd.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "mlartifacts")


def places(folder: Path):
    columns = ("experiments.artifact_location", "runs.artifact_uri", "logged_models.artifact_location", "model_versions.storage_location")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        found = [row[0] for one in columns for row in connection.execute(f"SELECT {one.split('.')[1]} FROM {one.split('.')[0]}")]
    return [place for place in found if place.startswith("file:")]


def attach_note(registry, folder: Path, text: str):
    (folder / "note.txt").write_text(text)
    registry.attach(registry.versions("tiny-teacher")[0], {"explanations": folder / "note.txt"}, {})


@pytest.mark.parametrize("name", ["renamed", "Läufe für die Klinik", "100 % #1"])
def test_a_renamed_run_works(run, name):
    moved = run.rename(run.with_name(name))
    registry = open_run(moved)
    model, folder = registry.fetch(URI)
    assert model.uri == URI
    assert (folder / "weights.safetensors").is_file()
    assert len(places(moved)) == 4
    assert all(place.startswith((moved / "mlartifacts").as_uri()) for place in places(moved))


def test_a_copy_and_its_original_both_work_and_are_independent(run):
    before = (run / "mlflow.db").read_bytes()
    copy = run.with_name("copy")
    shutil.copytree(run, copy)
    attach_note(open_run(copy), copy, "of the copy")
    assert (run / "mlflow.db").read_bytes() == before
    assert not list((run / "mlartifacts").rglob("note.txt"))
    assert len(list((copy / "mlartifacts").rglob("note.txt"))) == 1
    assert open_run(run).fetch(URI)[0] == open_run(copy).fetch(URI)[0]
    shutil.rmtree(run)
    assert open_run(copy).fetch(URI)[0].uri == URI


def test_new_versions_of_a_moved_run_lie_in_it(run):
    moved = run.rename(run.with_name("elsewhere"))
    task = Task(kind="classification", classes=("a", "b"), image_size=(16, 16))
    register_tiny(moved, task, NetworkSpec(builder="resnet"), name="second")
    assert not run.exists()
    assert len(list((moved / "mlartifacts" / "models").iterdir())) == 2


def test_a_plain_client_loads_a_version_of_a_run_that_was_moved_and_opened(run, monkeypatch):
    import mlflow
    import numpy as np

    moved = run.rename(run.with_name("verschoben ä"))
    open_run(moved)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{moved / 'mlflow.db'}")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{moved / 'mlflow.db'}")
    try:
        answers = mlflow.pyfunc.load_model(URI).predict({"image": np.zeros((2, 1, 16, 16), np.float32)})
    finally:
        mlflow.set_tracking_uri(before)
    assert answers["logits"].shape == (2, 2)


def test_a_copy_that_cannot_be_written_to_is_read_and_not_changed(run, monkeypatch):
    copy = run.with_name("medium")
    shutil.copytree(run, copy)
    shutil.rmtree(run)
    before, access = (copy / "mlflow.db").read_bytes(), os.access
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and not (mode & os.W_OK and Path(path).is_relative_to(copy)))
    registry = open_run(copy)
    assert registry.fetch(URI)[0].uri == URI
    assert registry.names() == ("tiny-teacher",)
    with pytest.raises(RegistryError, match=str(copy)) as caught:
        registry.set_alias("tiny-teacher", "champion", 1)
    assert caught.value.code == "REGISTRY_READ_ONLY"
    assert (copy / "mlflow.db").read_bytes() == before
    assert sorted(path.name for path in copy.iterdir() if path.name.startswith(".medkd-mlflow")) == []


def test_artefacts_that_were_put_elsewhere_on_purpose_stay_there(tmp_path, empty_database):
    from medkd.registry.mlflow_registry import MlflowRegistry

    (tmp_path / "artefacts").mkdir()
    (tmp_path / "run").mkdir()
    shutil.copy(empty_database, tmp_path / "run" / "mlflow.db")
    MlflowRegistry(f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}", artifacts=tmp_path / "artefacts")
    assert find_relocation(tmp_path / "run" / "mlflow.db") is None


def test_a_run_of_another_user_whose_folder_may_not_be_looked_into_is_read_where_its_copy_lies(run, monkeypatch):
    """Its recorded place lies in a folder of theirs: looking there is an error, and no reason to refuse the copy."""
    copy, is_dir = run.with_name("copy"), Path.is_dir
    shutil.copytree(run, copy)

    def refused(path):
        if path.is_relative_to(run):
            raise PermissionError(13, "Permission denied")
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", refused)
    monkeypatch.setattr(Path, "samefile", lambda path, _: refused(path) and False)
    relocation = find_relocation(copy / "mlflow.db")
    assert relocation is not None
    assert relocation.present == (copy / "mlartifacts").as_uri()
    shutil.rmtree(copy / "mlartifacts")
    assert find_relocation(copy / "mlflow.db") is None


def test_a_folder_behind_a_link_is_not_moved(run):
    link = run.with_name("link")
    link.symlink_to(run)
    assert find_relocation(link / "mlflow.db") is None


def test_an_interrupted_rewriting_leaves_the_database_as_it_was(run, monkeypatch):
    from medkd.registry import relocate

    moved = run.rename(run.with_name("moved"))
    before = places(moved)
    monkeypatch.setattr(relocate, "_COLUMNS", (*relocate._COLUMNS, ("experiments", "nothing")))
    monkeypatch.setattr(relocate, "_has", lambda *_: True)
    with pytest.raises(RegistryError, match="nothing"):
        open_run(moved)
    assert places(moved) == before
