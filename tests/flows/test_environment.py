from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.environment import QUIET, data_root, end_quickly, has_own_home, prepare_environment, prepare_prefect


def test_nobody_looks_outside_unless_the_user_says_so(monkeypatch):
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    prepare_environment()
    assert os.environ["DO_NOT_TRACK"] == "0"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert {name: os.environ[name] for name in QUIET if "ANALYTICS" in name} == {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


def test_data_lie_where_the_user_says_or_beside(monkeypatch):
    monkeypatch.delenv("MEDKD_DATA", raising=False)
    assert data_root() == Path("data")
    monkeypatch.setenv("MEDKD_DATA", "/elsewhere")
    assert data_root() == Path("/elsewhere")


@pytest.mark.parametrize("theirs", [False, True])
def test_the_embedded_prefect_has_a_home_of_its_own_unless_the_user_has_one(monkeypatch, tmp_path, theirs):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    homes = []
    monkeypatch.setattr("flows.prefect_database.begin_database", homes.append)
    for name in ("PREFECT_HOME", "MEDKD_OWN_PREFECT_HOME"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        del os.environ[name]
    if theirs:
        monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "theirs"))
    prepare_environment()
    assert has_own_home() is not theirs
    assert prepare_prefect(tmp_path / "home") == tmp_path / ("theirs" if theirs else "home")
    assert homes == ([] if theirs else [tmp_path / "home"])
    assert os.environ["PREFECT_HOME"] == str(tmp_path / ("theirs" if theirs else "cache/medkd/prefect"))


def test_a_process_ends_without_a_search_for_garbage(monkeypatch):
    asked = []
    monkeypatch.setattr("atexit.register", asked.append)
    end_quickly()
    assert [one.__name__ for one in asked] == ["freeze"]
