"""The same on PostgreSQL, two workers, with its password in a file of libpq. The database server is Debian's, started here by another user."""

from __future__ import annotations

import pytest
from live_server import ALICE, API, BOB, live_server, register_as_alice
from postgres_server import postgres_server

from mlflow_server.backup import back_up, restore
from mlflow_server.database import counts, model_versions
from mlflow_server.drill import drill
from mlflow_server.errors import ServerError
from mlflow_server.preflight import weak_settings
from mlflow_server.settings import read_settings

pytestmark = [pytest.mark.extended, pytest.mark.xdist_group("mlflow_postgres"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def database():
    """Yield a maker of empty databases, by name; the password is in a file that libpq reads."""
    with postgres_server("mlflow") as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSFILE", str(server.passfile))
        yield server.new_database


@pytest.fixture(scope="module")
def live(database, tmp_path_factory):
    pytest.importorskip("psycopg")
    with live_server(tmp_path_factory.mktemp("server") / "own", "--database", database("mlflow"), "--workers", "2") as server:
        yield server


@pytest.fixture(scope="module")
def registered(live):
    return register_as_alice(live)


def test_users_are_kept_apart_by_every_worker(live, registered):
    for _ in range(8):
        assert live.call("GET", f"{API}/model-versions/get?name=heart-kd&version=1", user=ALICE)[0] == 200
        assert live.call("GET", f"{API}/model-versions/get?name=heart-kd&version=1", user=BOB)[0] == 403
    assert not (live.folder / "auth.db").exists()


def test_what_was_backed_up_is_restored_into_an_empty_database_only(live, registered, database, tmp_path):
    settings = read_settings(live.folder)
    back_up(settings, tmp_path / "backup")
    assert (tmp_path / "backup" / "database.pgdump").is_file()
    with pytest.raises(ServerError) as refused:
        restore(tmp_path / "backup", tmp_path / "over")
    assert refused.value.code == "TARGET_NOT_EMPTY"
    again = restore(tmp_path / "backup", tmp_path / "again", database=database("again"), artifact_location="")
    assert model_versions(again.database_uri) == model_versions(settings.database_uri)
    assert counts(again.database_uri) == counts(settings.database_uri)
    with pytest.raises(ServerError) as refused:
        restore(tmp_path / "backup", tmp_path / "lite", database="")
    assert refused.value.code == "DATABASE_KIND"


def test_a_drill_needs_a_database_to_restore_into(live, registered, database):
    settings = read_settings(live.folder)
    with pytest.raises(ServerError) as refused:
        drill(settings)
    assert refused.value.code == "SCRATCH_DATABASE"
    found = drill(settings, scratch_database=database("scratch"))
    assert (found["versions"], found["files"]) == (2, 3)


def test_what_was_started_passes_its_preflight(live, registered):
    assert weak_settings(read_settings(live.folder)) == ()
