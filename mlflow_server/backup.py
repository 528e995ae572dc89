"""A backup of a server that may be running, and the way back into an empty place."""

from __future__ import annotations

import secrets
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow_server import artifacts
from mlflow_server.database import TRACKING, USERS, dump, dump_name, head, load, revision, sqlite_file
from mlflow_server.errors import ServerError
from mlflow_server.manifest import verify, write_manifest
from mlflow_server.private import OTHERS, private_folder
from mlflow_server.settings import ServerSettings, changed, read_settings, write_settings

_USERS = "auth.sqlite"


def back_up(settings: ServerSettings, target: Path) -> dict[str, Any]:
    """Copy databases, artefacts, settings and secrets of a server into a new folder, whole or not at all, and return its manifest.

    The database comes first: whatever a version in it refers to was uploaded before, and lies among the artefacts that are copied then.

    Raises:
        ServerError: ``TARGET_NOT_EMPTY`` when the folder is there; ``DATABASE_UNREACHABLE`` and others of :mod:`mlflow_server.database`.
    """
    target = target.expanduser().resolve()
    if target.exists():
        raise ServerError("TARGET_NOT_EMPTY", f"expected to make the folder {target}, it is there already; name another")
    if target.is_relative_to(settings.artifact_location):
        raise ServerError("TARGET_INSIDE", f"expected a place apart from the artefacts, got {target}; name another")
    private_folder(target.parent)
    part = private_folder(target.with_name(f".{target.name}.{secrets.token_hex(4)}.part"))
    try:
        dump(settings.database_uri, part / dump_name(settings.database_uri))
        users = sqlite_file(settings.auth_uri)
        if users is not None and users.exists():  # a database that never had users gets them at its first start here
            dump(settings.auth_uri, part / _USERS)
        artifacts.copy_out(settings.artifact_location, part / "artifacts")
        _copy_own(settings.folder, part)
        _close(part)
        manifest = write_manifest(part, _facts(settings))
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def restore(backup: Path, folder: Path, *, database: str | None = None, artifact_location: str | None = None) -> ServerSettings:
    """Make a server of a backup: every byte is verified first, and nothing is written over.

    Args:
        backup: folder that :func:`back_up` made.
        folder: folder of the new server; not there, or empty.
        database: SQLAlchemy URI of an empty database, instead of the one that was backed up; empty for SQLite in the folder.
        artifact_location: folder or ``s3://BUCKET/PREFIX`` where nothing lies, instead of the one that was backed up.

    Returns:
        The settings of the new server.

    Raises:
        ServerError: ``BACKUP_ALTERED`` or ``BACKUP_UNREADABLE``; ``TARGET_NOT_EMPTY`` naming what lies there; ``DATABASE_KIND`` when SQLite
            would be restored into a database server or the reverse.
    """
    backup, folder = backup.expanduser().resolve(), folder.expanduser().resolve()
    artifacts.require_empty(str(folder))
    manifest = verify(backup)
    settings = changed(read_settings(backup), folder=folder, database=database, artifacts=artifact_location)
    if not (backup / dump_name(settings.database_uri)).exists():
        raise ServerError(
            "DATABASE_KIND",
            f"expected a database of the kind that was backed up ({manifest['database']}), got another; name one with --database",
        )
    _require_current(manifest)
    artifacts.require_empty(settings.artifact_location)
    _fill(backup, settings)
    return settings


def _fill(backup: Path, settings: ServerSettings) -> None:
    """Fill the places of a server; its own folder appears whole or stays empty: half a server would start and miss artefacts."""
    # Inside of the folder, which may be the mount point of a volume: nothing can be renamed to that.
    part = private_folder(settings.folder / ".restore.part")
    partial = changed(settings, folder=part)
    try:
        load(backup / dump_name(partial.database_uri), partial.database_uri)
        if (backup / _USERS).exists():
            load(backup / _USERS, partial.auth_uri)
        artifacts.copy_in(backup / "artifacts", partial.artifact_location)
        _copy_own(backup, part)
        write_settings(partial)
        _close(part)
        for path in sorted(part.iterdir()):
            path.rename(settings.folder / path.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _require_current(manifest: dict[str, Any]) -> None:
    """Refuse a backup of a newer MLflow: an older one cannot read its tables; an older backup is upgraded after it is restored."""
    made_by = [int(part) for part in str(manifest["mlflow"]).split(".")[:2]]
    installed = [int(part) for part in version("mlflow").split(".")[:2]]
    if made_by > installed:
        raise ServerError(
            "MLFLOW_OLDER", f"expected MLflow {manifest['mlflow']} or newer, got {version('mlflow')}; install that, then restore"
        )


def _facts(settings: ServerSettings) -> dict[str, Any]:
    users = sqlite_file(settings.auth_uri)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "mlflow": version("mlflow"),
        "database": "sqlite" if sqlite_file(settings.database_uri) is not None else "postgresql",
        "schema": revision(settings.database_uri, TRACKING),
        "schema_of_users": revision(settings.auth_uri, USERS) if users is None or users.exists() else "",
        "schema_of_mlflow": head(TRACKING),
    }


def _copy_own(source: Path, target: Path) -> None:
    """Copy settings and secrets."""
    for name in ("server.json", "secrets/admin-password", "secrets/flask-secret"):
        if (source / name).exists():
            private_folder((target / name).parent)
            shutil.copyfile(source / name, target / name)


def _close(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~OTHERS)
