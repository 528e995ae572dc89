"""A run folder that was renamed, copied or mounted elsewhere: the places of artefacts in its database are brought to where they lie now.

MLflow writes absolute places into five columns and offers no way to change them, so the rows are rewritten, all in one transaction.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from data_contracts.private import close_to_others

#: Where MLflow's database keeps places of artefacts.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class Relocation:
    """Where a database says its artefacts lie, and where they lie.

    Attributes:
        recorded: place of the experiment's artefacts as the database writes it.
        present: the same as the database should write it.
    """

    recorded: str
    present: str


def find_relocation(database: Path) -> Relocation | None:
    """Return how a local registry was moved; None where it lies as recorded, or holds no experiment of ours yet.

    Artefacts lie beside the database under the folder name that is recorded. A recorded place elsewhere is kept only if it is there and
    nothing lies beside the database: who copies a run wants two that are independent of each other.

    Args:
        database: SQLite file of MLflow.
    """
    recorded = _recorded(database)
    parts = urlsplit(recorded)
    if parts.scheme not in ("", "file") or not parts.path.startswith("/"):
        return None  # of nobody yet, of an object store, or of MLflow's own default below the working folder
    before = Path(url2pathname(parts.path) if parts.scheme else recorded)
    beside = database.resolve().parent / before.name
    if before == beside or _is_same(before, beside) or (not os.path.isdir(beside) and _may_exist(before)):
        return None
    return Relocation(recorded.rstrip("/"), beside.as_uri() if parts.scheme else str(beside))


def relocate(database: Path, relocation: Relocation) -> None:
    """Rewrite every recorded place below the one that moved, in one transaction: a plain MLflow client finds the artefacts too."""
    old, new = relocation.recorded, relocation.present
    with closing(sqlite3.connect(database, timeout=120.0, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for table, column in _COLUMNS:
                if _has(connection, table, column):
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                    )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def relocated_copy(database: Path, relocation: Relocation, folder: Path) -> Path:
    """Return a copy of a database in another folder whose places are put right: for one that cannot be written to."""
    copy = folder / database.name
    with closing(_read_only(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    relocate(close_to_others(copy), relocation)
    return copy


def _recorded(database: Path) -> str:
    """Return where a database says the artefacts of its experiments lie; nothing of one that is not laid out or is none (MLflow says so).

    All experiments of a local registry share one folder; MLflow's own default one (id 0) has a place below the working folder.
    """
    try:
        with closing(_read_only(database)) as connection:
            row = connection.execute("SELECT artifact_location FROM experiments WHERE experiment_id <> 0 ORDER BY experiment_id").fetchone()
    except sqlite3.Error:
        return ""
    return str(row[0] or "") if row else ""


def _read_only(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=120.0)


def _has(connection: sqlite3.Connection, table: str, column: str) -> bool:
    return any(row[1] == column for row in connection.execute(f"PRAGMA table_info({table})"))


def _may_exist(folder: Path) -> bool:
    """Return whether a folder is there, or lies where this user may not look."""
    try:
        return folder.is_dir()
    except PermissionError:
        return True


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two paths are one folder, as behind a link or a second mount."""
    try:
        return one.samefile(other)
    except OSError:
        return False
