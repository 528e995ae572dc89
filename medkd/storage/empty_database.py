"""Empty databases of libraries, kept in the user's cache folder from the first run of a machine for the next.

Prefect and MLflow lay out the tables of a new database by every migration they ever had, seconds of every new run. Without a kept copy,
or with one that cannot be read, everything goes as it would have gone.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path


def cache_folder() -> Path:
    """Return the user's cache folder of medkd (XDG base directories)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medkd"


def copy_empty_database(source: Path, target: Path, table: str) -> bool:
    """Copy a laid out SQLite database without content, also one that a server has open, whole or not at all; True where it was copied.

    Args:
        source: database whose migrations (Alembic's) are done.
        target: replaced if it is there; its folder is made.
        table: without rows as long as the database has no content.
    """
    made = None
    with suppress(OSError, sqlite3.Error):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as read, closing(sqlite3.connect(made)) as written:
            if read.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,) and not _has_rows(read, table):
                read.backup(written)
                written.execute("PRAGMA journal_mode = DELETE")  # one file, whoever reads it; who opens it sets its own again
            else:
                raise sqlite3.DatabaseError("not an empty database")
        os.replace(made, target)
        return True
    if made is not None:
        Path(made).unlink(missing_ok=True)
    return False


def _has_rows(database: sqlite3.Connection, table: str) -> bool:
    return bool(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
