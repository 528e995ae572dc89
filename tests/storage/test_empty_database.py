from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from medkd.storage.empty_database import cache_folder, copy_empty_database


def laid_out(path: Path, rows: int = 0, migrations: int = 1) -> Path:
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("CREATE TABLE alembic_version (version_num TEXT)")
        opened.executemany("INSERT INTO alembic_version VALUES (?)", [("newest",)] * migrations)
        opened.execute("CREATE TABLE runs (id INTEGER)")
        opened.executemany("INSERT INTO runs VALUES (?)", [(number,) for number in range(rows)])
    return path


def test_a_laid_out_database_without_content_is_copied_for_its_owner_only(tmp_path):
    target = tmp_path / "deep" / "copy.db"
    assert copy_empty_database(laid_out(tmp_path / "a.db"), target, "runs")
    with closing(sqlite3.connect(target)) as opened:
        assert opened.execute("SELECT * FROM alembic_version").fetchall() == [("newest",)]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize("wrong", [{"rows": 1}, {"migrations": 0}, {"migrations": 2}])
def test_one_with_content_or_half_laid_out_is_not(tmp_path, wrong):
    source = laid_out(tmp_path / "a.db", **wrong)
    assert not copy_empty_database(source, tmp_path / "copies" / "copy.db", "runs")
    assert list((tmp_path / "copies").iterdir()) == []


def test_what_is_no_database_is_no_error(tmp_path):
    (tmp_path / "a.db").write_bytes(b"no database " * 500)
    assert not copy_empty_database(tmp_path / "a.db", tmp_path / "b.db", "runs")
    assert not copy_empty_database(tmp_path / "missing.db", tmp_path / "b.db", "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_the_cache_is_where_the_user_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "medkd"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path.home() / ".cache" / "medkd"
