"""One process at a time in a folder: a lock that the system takes back when its holder ends, however it ends, and that says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from data_contracts import OutputError

#: Name of the lock in a folder; it is there as long as somebody works in it.
LOCK = ".medkd-lock"
LOOK_S = 0.1


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only process that works in a folder, which is made where there is none.

    Raises:
        OutputError: ``RUN_BUSY`` with process, machine and time of who is at it, or ``OUT_UNWRITABLE``.
    """
    with locked(folder / LOCK, wait_s=1.0):
        yield


@contextlib.contextmanager
def locked(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold a lock file; it is removed in the end. One that a dead process left is nobody's.

    Args:
        path: of the lock file.
        wait_s: seconds to wait for another holder.

    Raises:
        OutputError: ``RUN_BUSY`` or ``OUT_UNWRITABLE``.
    """
    handle = _acquire(path, wait_s)
    try:
        os.ftruncate(handle, 0)
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        os.write(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}).encode())
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _acquire(path: Path, wait_s: float) -> int:
    until = time.monotonic() + wait_s
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(
                "OUT_UNWRITABLE", f"expected a folder that can be written to, {path.parent} cannot ({error.strerror}); name another folder"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held it before may have removed the file between our two steps: a lock on what is gone keeps nobody out.
            if os.path.exists(path) and os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        except OSError:
            if time.monotonic() > until:
                os.close(handle)
                raise _busy(path) from None
            time.sleep(LOOK_S)
        os.close(handle)


def _busy(path: Path) -> OutputError:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {held['pid']} on {held['host']} works in it since {held['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process works in it"
    return OutputError("RUN_BUSY", f"expected {path.parent} to be free, {who}; wait until it ends, or name another folder with --out")
