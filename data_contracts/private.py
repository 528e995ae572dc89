"""Files and folders that only their owner can read, under whatever umask: what medkd keeps was made of patients' images.

Two ways to the same end: our own writers open their files by :func:`open_private`; what libraries write by themselves (databases,
artefacts, NIfTI) is written within :func:`privately`. A file system that knows no modes is written to all the same.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

FILE_MODE, FOLDER_MODE = 0o600, 0o700
#: What others may not do with anything of ours.
_UMASK = 0o077
_lock = threading.Lock()
#: The umask of the user while ours is in force, and how many are within it.
_users_umask: int | None = None
_within = 0


def private_folder(folder: Path) -> Path:
    """Make a folder, and those above it that are missing, for the owner only (0700), and return it; those that are there stay as they are."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        # One by one: with `parents=True` those in between would keep the modes that the umask gives them.
        path.mkdir(exist_ok=True)
        close_to_others(path)
    if not missing:
        folder.mkdir(exist_ok=True)  # says what is in the way where it is no folder
    return folder


def open_private(path: Path, mode: str = "wb", **options: Any) -> IO[Any]:
    """Open a file for writing that only its owner can read (0600), in a folder that is made privately where there is none.

    A file that is there already is closed to others before anything is written to it.
    """
    private_folder(path.parent)

    def opener(name: str, flags: int) -> int:
        # Mode at creation, not afterwards: in between somebody could open it.
        descriptor = os.open(name, flags, FILE_MODE)
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, FILE_MODE)
        return descriptor

    return open(path, mode, opener=opener, **options)


def close_to_others(path: Path) -> Path:
    """Take from others whatever they may do with a file or folder of ours, and return it."""
    with contextlib.suppress(OSError):
        found = stat.S_IMODE(path.stat().st_mode)
        if found & _UMASK:
            path.chmod(found & ~_UMASK)
    return path


@contextlib.contextmanager
def privately() -> Iterator[None]:
    """Let everything that this process, and those it starts, make meanwhile be its owner's only; nests, also over threads."""
    enter_privately()
    try:
        yield
    finally:
        _leave()


def enter_privately() -> None:
    """As :func:`privately` until the process ends: for programs and worker processes, not for libraries."""
    global _users_umask, _within
    with _lock:
        before = os.umask(_UMASK)
        _users_umask, _within = before if _within == 0 else _users_umask, _within + 1


def _leave() -> None:
    global _users_umask, _within
    with _lock:
        _within -= 1
        if _within == 0 and _users_umask is not None:
            os.umask(_users_umask)
            _users_umask = None


def ordinary_umask() -> int:
    """Return the umask that the user has set, whether or not ours is in force."""
    with _lock:
        if _users_umask is not None:
            return _users_umask
        # The umask can only be read by setting it: under the lock, and put back at once.
        found = os.umask(_UMASK)
        os.umask(found)
        return found


def make_ordinary(path: Path) -> Path:
    """Give a file, or a folder and everything below it, the modes of new ones under the user's own umask, and return it: it is handed on."""
    mask = ordinary_umask()
    for one in (path, *(path.rglob("*") if path.is_dir() else ())):
        with contextlib.suppress(OSError):
            one.chmod((0o777 if one.is_dir() else 0o666) & ~mask)
    return path
