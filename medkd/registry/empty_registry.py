"""The empty MLflow database that the first registry of a machine leaves for the next: its migrations take seconds."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

from medkd.storage.empty_database import cache_folder, copy_empty_database

#: Empty in a database that nobody has used; it has MLflow's default experiment from the beginning.
_CONTENT = "runs"


def kept_registry() -> Path:
    """Return where the empty database of the installed MLflow is kept: the user's cache folder."""
    return cache_folder() / f"mlflow-{version('mlflow')}.db"


def begin_registry(database: Path) -> bool:
    """Make a database of the kept empty one; True where that was done.

    MLflow's default experiment gets the place that MLflow would give it: below the working folder, which is that of another run in the copy.
    """
    if not copy_empty_database(kept_registry(), database, _CONTENT):
        return False
    with suppress(sqlite3.Error), closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("UPDATE experiments SET artifact_location = ?", (str(Path.cwd() / "mlruns" / "0"),))
        return True
    database.unlink()
    return False


def keep_registry(database: Path) -> bool:
    """Keep a database in which nothing has run yet, where none is kept; True where it was kept."""
    return not kept_registry().exists() and copy_empty_database(database, kept_registry(), _CONTENT)
