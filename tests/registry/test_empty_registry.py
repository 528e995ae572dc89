from __future__ import annotations

import pytest

from medkd.registry.empty_registry import begin_registry, keep_registry, kept_registry
from medkd.registry.mlflow_registry import MlflowRegistry


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(folder) -> MlflowRegistry:
    folder.mkdir()
    return MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "artifacts")


@pytest.mark.extended
def test_the_second_registry_of_a_machine_begins_with_the_empty_one_of_the_first(cache, tmp_path, monkeypatch):
    assert not begin_registry(tmp_path / "none-kept.db")
    opened(tmp_path / "first")
    assert kept_registry().is_file()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("mlflow.store.db.utils._initialize_tables", None)  # migrations would fail
    second = opened(tmp_path / "second")
    assert second.names() == ()
    (default,) = second._client.search_experiments()
    assert (default.name, default.artifact_location) == ("Default", str(elsewhere / "mlruns" / "0"))


def test_a_registry_with_runs_is_not_kept(cache, tmp_path):
    registry = opened(tmp_path / "first")
    kept_registry().unlink()
    registry._client.create_run("0")
    assert not keep_registry(tmp_path / "first" / "mlflow.db")
    assert not kept_registry().exists()
