"""The upgrade of a server's databases to the installed MLflow: backed up first, verified after."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow_server.backup import back_up
from mlflow_server.database import TRACKING, USERS, counts, head, revision, sqlite_file
from mlflow_server.errors import ServerError
from mlflow_server.process import folder_of_its_own
from mlflow_server.settings import ServerSettings


def upgrade(settings: ServerSettings, backup: Path | None = None) -> dict[str, Any]:
    """Bring the databases of a server that does not run to the schema of the installed MLflow.

    Args:
        settings: the server.
        backup: folder for the backup that is made first; by default one below ``backups`` of the server's folder.

    Returns:
        ``changed`` {database: [schema before, schema after]}, empty when there was nothing to do; ``backup``, its folder or None; ``rows``.

    Raises:
        ServerError: ``SERVER_RUNNING``; ``UPGRADE_FAILED`` or ``UPGRADE_LOST_ROWS`` naming the backup to restore.
    """
    with folder_of_its_own(settings.folder):
        before = _schemas(settings)
        wanted = {name: (found, head(kind)) for name, (_, kind, found) in before.items() if found != head(kind)}
        if not wanted:
            return {"changed": {}, "backup": None, "rows": counts(settings.database_uri)}
        rows = counts(settings.database_uri)
        place = backup or settings.folder / "backups" / f"before-{version('mlflow')}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        back_up(settings, place)
        for name in wanted:
            uri, kind, _ = before[name]
            _migrate(uri, kind, place)
        _require_done(settings, rows, place)
        return {"changed": {name: list(pair) for name, pair in wanted.items()}, "backup": str(place), "rows": rows}


def _schemas(settings: ServerSettings) -> dict[str, tuple[str, tuple[str, str], str]]:
    """Return (URI, kind, schema) of the databases that are laid out; what is not is laid out by the first start."""
    found = {"tracking": (settings.database_uri, TRACKING, revision(settings.database_uri, TRACKING))}
    users = sqlite_file(settings.auth_uri)
    if users is None or users.exists():
        found["users"] = (settings.auth_uri, USERS, revision(settings.auth_uri, USERS))
    return {name: facts for name, facts in found.items() if facts[2]}


def _migrate(uri: str, kind: tuple[str, str], backup: Path) -> None:
    arguments = ["mlflow", "db", "upgrade", uri] if kind == TRACKING else ["mlflow.server.auth", "db", "upgrade", "--url", uri]
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True)
    if done.returncode:
        last = " ".join(done.stderr.strip().splitlines()[-1:])[:300]
        raise ServerError("UPGRADE_FAILED", f"expected the upgrade to end well, MLflow says: {last}; restore {backup}")


def _require_done(settings: ServerSettings, rows: dict[str, int], backup: Path) -> None:
    for name, (_, kind, found) in _schemas(settings).items():
        if found != head(kind):
            raise ServerError("UPGRADE_FAILED", f"expected the {name} database at schema {head(kind)}, got {found}; restore {backup}")
    after = counts(settings.database_uri)
    lost = [name for name, number in rows.items() if after.get(name) != number]
    if lost:
        raise ServerError("UPGRADE_LOST_ROWS", f"expected {rows[lost[0]]} rows in {lost[0]}, got {after.get(lost[0])}; restore {backup}")
