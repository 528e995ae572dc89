"""The same on PostgreSQL, two workers, with its password in a file of libpq. The database server is Debian's, started here by another user."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from live_server import ALICE, API, BOB, free_port, live_server, register_as_alice

from mlflow_server.backup import back_up, restore
from mlflow_server.database import counts, model_versions
from mlflow_server.drill import drill
from mlflow_server.errors import ServerError
from mlflow_server.preflight import weak_settings
from mlflow_server.settings import read_settings

pytestmark = [pytest.mark.extended, pytest.mark.xdist_group("mlflow_postgres"), pytest.mark.timeout(600)]


def programs():
    """Return the folder of PostgreSQL's server programs; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    where = shutil.which("initdb")
    return found[-1].parent if found else Path(where).parent if where else None


@pytest.fixture(scope="module")
def database():
    """Yield a maker of empty databases, by name; the password is in a file that libpq reads."""
    where = programs()
    if where is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user = None
    if os.getuid() == 0:  # PostgreSQL does not run as root
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("there is no user postgres to run PostgreSQL as (Debian: apt-get install postgresql)")
    place = Path(tempfile.mkdtemp(prefix="postgres-"))
    password, port = secrets.token_hex(16), free_port()
    (place / "password").write_text(password)
    passfile = place / "pgpass"
    passfile.write_text(f"127.0.0.1:{port}:*:mlflow:{password}\n")
    passfile.chmod(0o600)
    if user:
        shutil.chown(place, user)
        shutil.chown(place / "password", user)
    own = {"user": user} if user else {}
    make = [where / "initdb", "-D", place / "data", "-U", "mlflow", "--pwfile", place / "password", "--auth=scram-sha-256", "--no-sync"]
    subprocess.run(make, check=True, capture_output=True, cwd=place, **own)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={place}", "-c", "fsync=off"]
    process = subprocess.Popen(
        [where / "postgres", "-D", place / "data", "-p", str(port), *options], cwd=place, stderr=subprocess.DEVNULL, **own
    )
    os.environ["PGPASSFILE"] = str(passfile)
    try:
        wait_for(port)
        yield lambda name: new_database(port, name)
    finally:
        del os.environ["PGPASSFILE"]
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(place, ignore_errors=True)


def wait_for(port):
    deadline = time.monotonic() + 30
    while subprocess.run(["pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def new_database(port, name):
    subprocess.run(["createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", name], check=True, capture_output=True)
    return f"postgresql://mlflow@127.0.0.1:{port}/{name}"


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
