from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Return a migrated MLflow database without content: migrations take seconds, a copy takes none."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path
