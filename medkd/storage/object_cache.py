"""The objects of stores on this machine's disk: bounded, the least recently used go first, and none is used that is not whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from data_contracts import MissingDependencyError
from data_contracts.private import private_folder
from data_contracts.record import PARTIAL, partial_path
from medkd.storage.empty_database import cache_folder
from medkd.storage.store import sha256_file

#: Folder of the cache, and its bound.
CACHE, CACHE_GB = "MEDKD_CACHE", "MEDKD_CACHE_GB"
DEFAULT_GB = 20.0
#: Part of the bound that is written between two looks at what lies there: looking is not free.
_BETWEEN = 0.05


def cache_bytes() -> int:
    """Return the bound of the cache, bytes.

    Raises:
        MissingDependencyError: ``CACHE_INVALID`` when ``MEDKD_CACHE_GB`` is no number from 0 on.
    """
    given = os.environ.get(CACHE_GB)
    try:
        wanted = DEFAULT_GB if given is None else float(given)
    except ValueError:
        wanted = -1.0
    if not 0 <= wanted < 1e9:
        raise MissingDependencyError("CACHE_INVALID", f"expected a number of gigabytes from 0 on in {CACHE_GB}, got {(given or '')[:40]!r}")
    return int(wanted * 1e9)


class ObjectCache:
    """Objects by sha256, below one folder.

    Args:
        folder: by default ``MEDKD_CACHE``, or ``objects`` in the user's cache folder of medkd.
        limit: bound, bytes; by default ``MEDKD_CACHE_GB`` gigabytes, or 20. Several processes that write at once may pass it for a while.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.folder = folder or Path(os.environ.get(CACHE) or cache_folder() / "objects")
        self.limit = cache_bytes() if limit is None else limit
        self._unseen: int | None = None

    def path(self, sha256: str) -> Path:
        """Return where an object lies, whether it does or not."""
        return self.folder / sha256[:2] / sha256

    def find(self, sha256: str) -> Path | None:
        """Return an object that is whole, as the one used last; one that is not is removed."""
        path = self.path(sha256)
        try:
            if sha256_file(path) != sha256:
                path.unlink(missing_ok=True)
                return None
            os.utime(path)
        except OSError:  # never there, or another process made room
            return None
        return path

    def fill(self, sha256: str, bring: Callable[[Path], bool]) -> Path | None:
        """Bring an object in and return where it lies, None where ``bring`` finds none; room is made for it.

        Args:
            sha256: of the object; what was brought is not compared with it.
            bring: writes the bytes to a path, returns whether there were any.
        """
        path = self.path(sha256)
        private_folder(path.parent)
        partial = partial_path(path)
        try:
            if not bring(partial):
                return None
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        self._make_room(path)
        return path

    def _make_room(self, latest: Path) -> None:
        size = latest.stat().st_size
        if self._unseen is not None and self._unseen + size <= self.limit * _BETWEEN:
            self._unseen += size
            return
        self._unseen = 0
        found = sorted((one for one in self._entries() if one[2] != latest), reverse=True)
        total = size
        for _, entry_size, path in found:  # those used last stay
            total += entry_size
            if total > self.limit * (1 - _BETWEEN):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _entries(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                if not path.name.endswith(PARTIAL):
                    found.append((stat.st_mtime, stat.st_size, path))
        return found
