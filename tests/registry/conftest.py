from __future__ import annotations

import shutil

import pytest

from medkd.registry.export_version import export_version
from tests.registry.registered_versions import open_in, publish, register_lineage


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Return a migrated MLflow database without content: migrations take seconds, a copy takes none."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def parts(tmp_path, monkeypatch, empty_database):
    """Return a registry in a database of its own, a client of MLflow beside it, and their folder."""
    from mlflow.tracking import MlflowClient

    from medkd.registry.mlflow_registry import MlflowRegistry

    shutil.copy(empty_database, tmp_path / "mlflow.db")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    return MlflowRegistry(uri, artifacts=tmp_path / "artifacts"), MlflowClient(tracking_uri=uri), tmp_path


@pytest.fixture
def origin(tmp_path, empty_database):
    return register_lineage(open_in(tmp_path / "origin", empty_database), tmp_path / "origin")


@pytest.fixture
def exported(origin, tmp_path):
    export_version(origin.registry, origin.student.uri, tmp_path / "kd.zip")
    return tmp_path / "kd.zip"


@pytest.fixture
def site(tmp_path, empty_database):
    """Return the registry of another site, in which the numbers 1 are taken."""
    registry = open_in(tmp_path / "site", empty_database)
    for name in ("r-teacher", "r-kd"):
        publish(registry, tmp_path / "site", name, content="of the site")
    return registry
