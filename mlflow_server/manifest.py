"""What a backup holds: size and sha256 of every file, written last, verified before anything is restored."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mlflow_server.errors import ServerError
from mlflow_server.private import write_private

NAME = "manifest.json"
_FORMAT = 1


def write_manifest(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest of a folder and return it.

    Args:
        folder: everything that belongs to the backup.
        facts: what else to know of it.
    """
    files = {name: {"size": (folder / name).stat().st_size, "sha256": _digest(folder / name)} for name in _names(folder)}
    manifest = {"format": _FORMAT, **facts, "files": files}
    write_private(folder / NAME, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return manifest


def verify(folder: Path) -> dict[str, Any]:
    """Return the manifest of a backup whose every file is as it was written.

    Raises:
        ServerError: ``BACKUP_UNREADABLE`` without a manifest; ``BACKUP_ALTERED`` naming the first file that is missing, added or changed.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
        files = manifest["files"]
        if manifest["format"] != _FORMAT:
            raise ValueError(f"its format is {manifest['format']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServerError(
            "BACKUP_UNREADABLE", f"expected a backup in {folder}, its {NAME} cannot be read ({error}); name another"
        ) from error
    present = set(_names(folder))
    for name in sorted(present | set(files)):
        why = _difference(folder / name, name in present, files.get(name))
        if why:
            raise ServerError("BACKUP_ALTERED", f"expected {folder / name} as it was backed up, {why}; take another backup")
    return manifest


def _difference(path: Path, present: bool, known: dict[str, Any] | None) -> str:
    if known is None:
        return "it was not part of the backup"
    if not present:
        return "it is missing"
    if path.stat().st_size != known["size"]:
        return f"it has {path.stat().st_size} bytes instead of {known['size']}"
    return "" if _digest(path) == known["sha256"] else "its sha256 is another"


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path != folder / NAME)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
