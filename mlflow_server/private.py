"""Folders and files that only their owner can read: a registry's database holds password hashes, its artefacts were made of patients' images."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700
#: What nobody else may do with anything of the server's.
OTHERS = 0o077


def private_folder(folder: Path) -> Path:
    """Make a folder, and what is missing above it, for the owner only (0700), and return it; those that are there stay as they are."""
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        path.mkdir(mode=FOLDER_MODE)
    return folder


def write_private(path: Path, text: str) -> Path:
    """Write a file of the owner's only (0600), whole or not at all, and return it."""
    private_folder(path.parent)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
    return path


def generated(path: Path, size: int) -> str:
    """Return the secret in a file; where there is none, one of ``size`` random bytes (as URL-safe text) is written first."""
    private_folder(path.parent)
    # Two that start at once must end with the same secret: only one of them makes the file.
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(secrets.token_urlsafe(size) + "\n")
    return path.read_text(encoding="utf-8").strip()


def open_to_others(path: Path) -> bool:
    """Return whether anybody but the owner may do anything with a file or folder."""
    return bool(path.stat().st_mode & OTHERS)
