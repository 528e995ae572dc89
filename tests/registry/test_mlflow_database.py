"""A database of MLflow appears whole or not at all, and one process at a time lays it out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_contracts import RegistryError
from medkd.registry.mlflow_database import at_its_place, laid_out_alone, unreadable


def test_a_database_that_is_there_is_left_as_it_is(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    before = (tmp_path / "mlflow.db").read_bytes()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with laid_out_alone(uri):
        assert at_its_place(uri, tmp_path / "copies") == (uri, None)
    assert (tmp_path / "mlflow.db").read_bytes() == before
    assert not (tmp_path / "copies").exists()


def test_a_server_lays_out_its_own():
    with laid_out_alone("http://127.0.0.1:1"):
        assert at_its_place("http://127.0.0.1:1", Path("/nowhere")) == ("http://127.0.0.1:1", None)


def test_what_is_no_registry_is_one_sentence_and_what_has_a_sentence_keeps_it():
    refused = RegistryError("REGISTRY_UNREACHABLE", "expected a server, none answers")
    assert unreadable("http://site", refused) is refused
    found = unreadable("sqlite:///x.db", ValueError("two\nlines " + "x" * 500))
    assert found.code == "REGISTRY_UNREADABLE"
    assert "(two lines xxx" in str(found)
    assert "\n" not in str(found)
    assert len(str(found)) < 400


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
