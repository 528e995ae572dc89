"""A process by name, so that another one can say later whether it is still at work."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path

#: Tag of runs, in MLflow and in Prefect, that says which process is at work on them.
PROCESS = "medkd.process"


def process_mark() -> str:
    """Return the mark of this process: machine, number, and when it began (numbers are given again, beginnings are not)."""
    return f"{_host()}:{os.getpid()}:{_began(os.getpid())}"


def has_ended(mark: str) -> bool | None:
    """Return whether the process of a mark has ended; None where that cannot be said from this machine."""
    try:
        host, number, began = mark.rsplit(":", 2)
        process, beginning = int(number), int(began)
    except ValueError:
        return None
    if host != _host() or not Path("/proc").is_dir():
        return None
    return _began(process) != beginning


@functools.cache
def _host() -> str:
    return socket.gethostname()


def _began(number: int) -> int:
    """Return when a process began, in ticks since the machine did (proc(5), field 22); 0 where there is none, or none that still runs."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
