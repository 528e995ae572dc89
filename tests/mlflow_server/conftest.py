"""One server for the tests of a module, and what lies in it."""

from __future__ import annotations

import shutil

import pytest
from live_server import live_server, register_as_alice

from mlflow_server.backup import back_up
from mlflow_server.settings import read_settings


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("server") / "own") as server:
        yield server


@pytest.fixture(scope="module")
def registered(live):
    return register_as_alice(live)


@pytest.fixture
def copied(live, registered, tmp_path):
    """Return a backup of the server, made while it runs."""
    back_up(read_settings(live.folder), tmp_path / "backup")
    yield tmp_path / "backup"
    shutil.rmtree(tmp_path / "backup", ignore_errors=True)
