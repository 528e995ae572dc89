"""The empty database of an embedded Prefect, kept from the first run of a machine for the next.

Prefect lays out the tables of a new database by running every migration it ever had: six seconds of every new run folder. The first
run keeps the database as it was before anything ran in it; a later one begins with that copy. The copy is of one version of Prefect,
and without it, or with one that cannot be read, everything goes as it would have gone.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

from data_contracts.private import private_folder
from flows.environment import cache_folder, has_own_home

DATABASE = "prefect.db"


def kept_database() -> Path:
    """Return where the empty database of the installed Prefect is kept: the user's cache folder."""
    return cache_folder() / f"prefect-{version('prefect')}.db"


def prepare_prefect(home: Path) -> Path:
    """Make the home of an embedded Prefect and return it; the user's own ``PREFECT_HOME`` wins."""
    private_folder(home)
    named = os.environ.get("PREFECT_HOME")
    if named is not None and not has_own_home():
        if named == str(home):
            begin_database(home)
        return Path(named)
    begin_database(home)
    return home


def begin_database(home: Path) -> bool:
    """Give a home without a database the kept empty one; True where it now has that."""
    if (home / DATABASE).exists():
        return False
    return _copy(kept_database(), home / DATABASE)


def keep_database(home: Path) -> bool:
    """Keep a database in which nothing has run yet, where none is kept; True where it was kept."""
    return not kept_database().exists() and _copy(home / DATABASE, kept_database())


def _copy(source: Path, target: Path) -> bool:
    """Copy a database, also one that a server has open, whole or not at all."""
    made = None
    with suppress(OSError, sqlite3.Error):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as read, closing(sqlite3.connect(made)) as written:
            if read.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,) and not _has_run(read):
                read.backup(written)
                written.execute("PRAGMA journal_mode = DELETE")  # one file, whoever reads it; Prefect's server sets its own again
            else:
                raise sqlite3.DatabaseError("not an empty database of Prefect")
        os.replace(made, target)
        return True
    if made is not None:
        Path(made).unlink(missing_ok=True)
    return False


def _has_run(database: sqlite3.Connection) -> bool:
    return bool(database.execute("SELECT count(*) FROM flow_run").fetchone()[0])
