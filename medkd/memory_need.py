"""What work would take of the machine's memory, said before it begins: a process that is killed says nothing."""

from __future__ import annotations

from pathlib import Path

from data_contracts import MissingDependencyError

_MEMINFO = Path("/proc/meminfo")
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
