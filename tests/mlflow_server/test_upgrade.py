"""An upgrade backs up first, loses no row, and does nothing where there is nothing to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from mlflow_server.backup import back_up
from mlflow_server.database import TRACKING, counts, head, revision
from mlflow_server.errors import ServerError
from mlflow_server.manifest import verify
from mlflow_server.settings import prepare, read_settings, write_settings
from mlflow_server.upgrade import upgrade


@pytest.fixture
def settings(tmp_path):
    found = read_settings(tmp_path / "own")
    prepare(found)
    write_settings(found)
    return found


def lay_out_before_last(settings):
    """Lay out a tracking database by every migration of MLflow but the last, with a registered model in it."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.base_sql_model import Base  # noqa: F401 - the tables of the first schema refer to it
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

    engine = sqlalchemy.create_engine(settings.database_uri)
    InitialBase.metadata.create_all(engine)
    engine.dispose()
    config = _get_alembic_config(settings.database_uri)
    command.upgrade(config, f"{head(TRACKING)}-1")
    with closing(sqlite3.connect(settings.folder / "mlflow.db")) as database, database:
        database.execute("INSERT INTO registered_models (name) VALUES ('heart-kd')")


def test_a_server_without_a_database_is_refused(settings):
    with pytest.raises(ServerError, match=r"mlflow\.db") as refused:
        upgrade(settings)
    assert refused.value.code == "DATABASE_UNREACHABLE"


def test_artefacts_that_are_not_there_are_no_empty_backup(settings, tmp_path):
    lay_out(settings)
    (settings.folder / "artifacts").rmdir()
    with pytest.raises(ServerError, match="/own/artifacts") as refused:
        back_up(settings, tmp_path / "backup")
    assert refused.value.code == "ARTIFACTS_MISSING"
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def lay_out(settings):
    """Make a database that says it has the schema of the installed MLflow."""
    with closing(sqlite3.connect(settings.folder / "mlflow.db")) as database, database:
        database.execute(f"CREATE TABLE {TRACKING[1]} (version_num TEXT)")
        database.execute(f"INSERT INTO {TRACKING[1]} VALUES ('{head(TRACKING)}')")


def test_nothing_is_done_where_there_is_nothing_to_do(settings):
    lay_out(settings)
    assert upgrade(settings) == {"changed": {}, "backup": None, "rows": {}}
    assert not (settings.folder / "backups").exists()


@pytest.mark.extended
def test_the_last_migration_of_mlflow_is_made_after_a_backup(settings, tmp_path):
    lay_out_before_last(settings)
    before = revision(settings.database_uri, TRACKING)
    assert before not in ("", head(TRACKING))
    found = upgrade(settings, tmp_path / "before")
    assert found["changed"] == {"tracking": [before, head(TRACKING)]}
    assert revision(settings.database_uri, TRACKING) == head(TRACKING)
    assert counts(settings.database_uri)["registered_models"] == 1
    assert verify(tmp_path / "before")["schema"] == before
    assert upgrade(settings)["changed"] == {}
