"""A fire drill: a backup is made, restored elsewhere, a server is started on it and asked for every model version."""

from __future__ import annotations

import secrets
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow_server.backup import back_up, restore
from mlflow_server.database import ModelVersion, model_versions, sqlite_file
from mlflow_server.environment import server_environment
from mlflow_server.errors import ServerError
from mlflow_server.manifest import verify
from mlflow_server.process import running
from mlflow_server.running import Server
from mlflow_server.settings import LOOPBACK, ServerSettings, changed

_PROXIED = "mlflow-artifacts:/"


def drill(settings: ServerSettings, *, scratch_database: str | None = None) -> dict[str, Any]:
    """Prove that a server can be had back, and return the seconds of each part.

    Args:
        settings: the server; it may be running, and is only read.
        scratch_database: empty PostgreSQL database, for a server whose database is one.

    Returns:
        ``seconds`` of backup, restore, start and comparison, ``versions`` and ``files`` that were compared.

    Raises:
        ServerError: ``SCRATCH_DATABASE`` without one where one is needed; ``DRILL_DIFFERS`` naming a version that did not come back.
    """
    if sqlite_file(settings.database_uri) is None and not scratch_database:
        raise ServerError(
            "SCRATCH_DATABASE",
            f"expected an empty database to restore {settings.folder} into, got none; createdb one, then --scratch-database URI",
        )
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="mlflow-drill-") as scratch:
        place = Path(scratch)
        expected = model_versions(settings.database_uri)
        manifest = _timed(seconds, "backup", lambda: back_up(settings, place / "backup"))
        found = _timed(
            seconds, "restore", lambda: restore(place / "backup", place / "server", database=scratch_database or "", artifact_location="")
        )
        restored = changed(found, host=LOOPBACK[0], port=_free_port(), allowed_hosts=LOOPBACK[:1], workers=1)
        # An administrator of the drill's own: the real one may have another password than the one that the account began with.
        user = (f"drill-{secrets.token_hex(4)}", secrets.token_urlsafe(24))
        environment = {**server_environment(restored), "MLFLOW_AUTH_ADMIN_USERNAME": user[0], "MLFLOW_AUTH_ADMIN_PASSWORD": user[1]}
        begin = time.perf_counter()
        with running(restored, environment):
            seconds["start"] = time.perf_counter() - begin
            server = Server(restored.url, user)
            files = _timed(seconds, "compare", lambda: _compare(server, expected, verify(place / "backup")))
    return {
        "seconds": {part: round(value, 1) for part, value in seconds.items()},
        "versions": len(expected),
        "files": files,
        "mlflow": manifest["mlflow"],
    }


def _timed(seconds: dict[str, float], part: str, work: Callable[[], Any]) -> Any:
    begin = time.perf_counter()
    done = work()
    seconds[part] = time.perf_counter() - begin
    return done


def _compare(server: Server, expected: list[ModelVersion], manifest: dict[str, Any]) -> int:
    """Ask for every version and for the names and sizes of its files; return the number of files."""
    files = 0
    for version in expected:
        named = f"models:/{version.name}/{version.version}"
        found = server.ask("mlflow/model-versions/get", name=version.name, version=version.version)["model_version"]
        tags = tuple(sorted((tag["key"], tag["value"]) for tag in found.get("tags", ())))
        got = ModelVersion(found["name"], str(found["version"]), found.get("source", ""), found.get("run_id", ""), tags)
        if got != version:
            raise ServerError("DRILL_DIFFERS", f"expected {named} as {version}, got {got}; do not rely on this backup")
        uri = server.ask("mlflow/model-versions/get-download-uri", name=version.name, version=version.version)["artifact_uri"]
        if uri.startswith(_PROXIED):
            files += _compare_files(server, named, uri.removeprefix(_PROXIED).strip("/"), manifest)
    return files


def _compare_files(server: Server, named: str, path: str, manifest: dict[str, Any]) -> int:
    prefix = f"artifacts/{path}/"
    wanted = {name.removeprefix(prefix): facts["size"] for name, facts in manifest["files"].items() if name.startswith(prefix)}
    found = dict(_listed(server, path, ""))
    if found != wanted:
        different = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        raise ServerError(
            "DRILL_DIFFERS", f"expected {different[0]} of {named} as it was backed up, got another or none; do not rely on this backup"
        )
    return len(found)


def _listed(server: Server, path: str, below: str) -> list[tuple[str, int]]:
    """Return (name below the path, bytes) of every file that the server lists."""
    listed: list[tuple[str, int]] = []
    for item in server.ask("mlflow-artifacts/artifacts", path=f"{path}/{below}".rstrip("/")).get("files", ()):
        name = f"{below}{Path(item['path']).name}"
        listed += _listed(server, path, f"{name}/") if item.get("is_dir") else [(name, int(item.get("file_size", 0)))]
    return listed


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind((LOOPBACK[0], 0))
        return int(asked.getsockname()[1])
