"""The empty database that one run of the embedded Prefect keeps for the next."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from flows.environment import has_own_home, prepare_environment
from flows.prefect_database import DATABASE, begin_database, keep_database, kept_database, prepare_prefect

RUN = """
import sys
from pathlib import Path
from flows.start import start_engine

with start_engine("prefect", Path(sys.argv[1]), workers=0):
    from flows.orchestration import flow

    @flow
    def nothing_much() -> int:
        return 7

    print(nothing_much())
"""


def asked(database, question):
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute(question).fetchall()


def laid_out(database, runs=0):
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("CREATE TABLE alembic_version (version_num TEXT)")
        opened.execute("INSERT INTO alembic_version VALUES ('newest')")
        opened.execute("CREATE TABLE flow_run (id INTEGER)")
        opened.executemany("INSERT INTO flow_run VALUES (?)", [(number,) for number in range(runs)])
        opened.commit()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def left_over(folder):
    return [path.name for path in folder.rglob(".*")] if folder.exists() else []


def test_a_home_begins_with_what_another_kept(cache, tmp_path):
    laid_out(tmp_path / "first" / DATABASE)
    assert keep_database(tmp_path / "first")
    assert cache in kept_database().parents
    assert begin_database(tmp_path / "second")
    assert asked(tmp_path / "second" / DATABASE, "SELECT * FROM alembic_version") == [("newest",)]
    assert not left_over(tmp_path)


def test_a_database_in_which_something_ran_is_not_kept(cache, tmp_path):
    laid_out(tmp_path / "first" / DATABASE, runs=1)
    assert not keep_database(tmp_path / "first")
    assert not kept_database().exists()
    assert not left_over(tmp_path)


def test_a_home_with_a_database_keeps_its_own(cache, tmp_path):
    laid_out(kept_database())
    laid_out(tmp_path / "home" / DATABASE, runs=3)
    assert not begin_database(tmp_path / "home")
    assert asked(tmp_path / "home" / DATABASE, "SELECT count(*) FROM flow_run") == [(3,)]


@pytest.mark.parametrize("bytes_kept", [None, b"", b"not a database at all " * 400])
def test_without_a_sound_kept_one_everything_goes_as_it_would_have_gone(cache, tmp_path, bytes_kept):
    if bytes_kept is not None:
        kept_database().parent.mkdir(parents=True)
        kept_database().write_bytes(bytes_kept)
    assert not begin_database(tmp_path / "home")
    assert not (tmp_path / "home" / DATABASE).exists()
    assert not left_over(tmp_path)


@pytest.mark.parametrize("of_user", [False, True])
def test_the_embedded_prefect_has_a_home_of_its_own_unless_the_user_has_one(monkeypatch, tmp_path, of_user):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    homes = []
    monkeypatch.setattr("flows.prefect_database.begin_database", homes.append)
    for name in ("PREFECT_HOME", "MEDKD_OWN_PREFECT_HOME"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        del os.environ[name]
    if of_user:
        monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "of_user"))
    prepare_environment()
    assert has_own_home() is not of_user
    assert prepare_prefect(tmp_path / "home") == tmp_path / ("of_user" if of_user else "home")
    assert homes == ([] if of_user else [tmp_path / "home"])
    assert os.environ["PREFECT_HOME"] == str(tmp_path / ("of_user" if of_user else "cache/medkd/prefect"))


@pytest.mark.extended
@pytest.mark.xdist_group("demo")
def test_prefect_itself_works_on_the_one_that_a_demo_kept(smoke, tmp_path):
    (kept,) = (smoke.cache / "medkd").glob("prefect-*.db")
    tables = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    assert asked(kept, tables) == asked(smoke.folder / "prefect" / DATABASE, tables)
    assert asked(kept, "SELECT count(*) FROM flow_run") == [(0,)]
    assert asked(smoke.folder / "prefect" / DATABASE, "SELECT count(*) FROM flow_run")[0][0] >= 8
    began = kept.stat().st_mtime_ns
    environment = {**os.environ, "XDG_CACHE_HOME": str(smoke.cache)}
    done = subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "7", done.stderr[-2000:]
    assert asked(tmp_path / "prefect" / DATABASE, "SELECT count(*) FROM flow_run") == [(1,)]
    assert kept.stat().st_mtime_ns == began
