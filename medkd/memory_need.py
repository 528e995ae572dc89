"""What work would take of the machine's memory, said before it begins: a process that is killed says nothing. And what it did take."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import weakref
from pathlib import Path
from typing import ClassVar

from data_contracts import MissingDependencyError

_MEMINFO = Path("/proc/meminfo")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: Where the limit of a container stands, and what it uses (version 2 and 1 of control groups).
_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def available_bytes() -> int | None:
    """Return the bytes that a new process could take without others being put out to disk; None where the system does not say."""
    found = []
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="ascii").splitlines() if ":" in line)
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        pass
    for most, used in _LIMITS:
        try:
            found.append(int(most.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return min(found) if found else None


def require_memory(needed: int, what: str) -> None:
    """Refuse work that the memory cannot hold.

    Args:
        needed: bytes that it takes at least.
        what: what a sentence calls it.

    Raises:
        MissingDependencyError: ``MEMORY_TOO_SMALL`` with both figures.
    """
    free = available_bytes()
    if free is not None and needed > free:
        raise MissingDependencyError(
            "MEMORY_TOO_SMALL",
            f"expected to hold {what} in memory, it takes at least {shown(needed)} and {shown(free)} are free; make it smaller",
        )


def shown(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.0f} MiB"


def peak_bytes() -> int | None:
    """Return the largest resident memory of this process so far, in bytes; None where the system does not say.

    ``getrusage`` counts what the process was forked from until it was replaced, so that Linux is asked for its high-water mark.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii", errors="replace"), flags=re.MULTILINE)
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # no Unix
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class PeakMemory:
    """The largest resident memory of this process since the object was made, libraries and all.

    Linux lets a process begin its high-water mark anew (``clear_refs``, proc(5)); elsewhere the figure is that of the process's whole life.
    """

    _open: ClassVar[weakref.WeakSet[PeakMemory]] = weakref.WeakSet()
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._largest = 0
        with self._lock:
            before = peak_bytes() or 0
            for other in self._open:  # the mark that is taken away here is theirs too
                other._largest = max(other._largest, before)
            with contextlib.suppress(OSError):
                _CLEAR.write_text("5", encoding="ascii")
            self._open.add(self)

    def read(self) -> int | None:
        """Return the bytes; None where the system does not say."""
        now = peak_bytes()
        return None if now is None else max(self._largest, now)
