"""A folder that studies arrive in: which of them are complete, and which were taken already.

An entry of the folder (a folder, a zip archive, a file) is complete when nothing of it has changed for a while: whoever copies or sends
goes on writing until then. What was taken is remembered by names, sizes and times of its files, so that a study that gets more images later is taken
again, and the same study twice is done once.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data_contracts.private import open_private

#: What senders call a file that they are still writing: nothing below an entry may end so.
UNFINISHED = (".part", ".partial", ".tmp", ".filepart", ".crdownload")


@dataclass(frozen=True)
class Arrival:
    """A complete entry of an inbox.

    Attributes:
        path: of it.
        signature: digest of the names, sizes and times of its files.
    """

    path: Path
    signature: str


class Inbox:
    """Watches a folder.

    Args:
        folder: that studies arrive in; nothing in it is changed.
        ledger: file of what was taken, as confidential as the names of the folder's entries.
        settle_s: seconds without a change after which an entry is complete.
    """

    def __init__(self, folder: Path, ledger: Path, settle_s: float) -> None:
        self._folder, self._ledger, self._settle_s = folder, ledger, settle_s

    def arrivals(self, now: float | None = None) -> list[Arrival]:
        """Return the complete entries that were not taken yet, in the order of their names."""
        before = (time.time() if now is None else now) - self._settle_s
        taken, found = self._taken(), []
        for path in sorted(self._folder.iterdir()):
            files = [] if path.name.startswith(".") else list(_files(path))
            if not files or any(name.endswith(UNFINISHED) or newest > before for name, _, newest in files):
                continue
            signature = hashlib.sha256(json.dumps(files).encode()).hexdigest()
            if taken.get(path.name) != signature:
                found.append(Arrival(path, signature))
        return found

    def take(self, arrival: Arrival) -> None:
        """Remember that an entry was taken."""
        taken = {**self._taken(), arrival.path.name: arrival.signature}
        partial = self._ledger.with_name(f"{self._ledger.name}.new")
        with open_private(partial, "w", encoding="utf-8") as stream:
            json.dump(taken, stream)
        os.replace(partial, self._ledger)

    def _taken(self) -> dict[str, str]:
        try:
            found = json.loads(self._ledger.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet; or cut off by somebody: everything is looked at again, and ingestion takes nothing twice
            return {}
        return found if isinstance(found, dict) else {}


def _files(path: Path) -> Iterator[tuple[str, int, float]]:
    """Return name, size and time of the last change of every file of an entry."""
    if path.is_file():
        state = path.stat()
        yield path.name, state.st_size, max(state.st_mtime, state.st_ctime)
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            try:
                state = file.stat()
            except OSError:  # gone since: somebody is at it
                yield f"{file.relative_to(path)}{UNFINISHED[0]}", 0, 0.0
                continue
            yield str(file.relative_to(path)), state.st_size, max(state.st_mtime, state.st_ctime)
