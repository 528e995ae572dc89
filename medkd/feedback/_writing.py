"""One writer of a log at a time, in whichever process, and names of new files on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from data_contracts import FeedbackError, OutputError
from data_contracts.private import open_private

#: Seconds to wait for whoever else writes; writing a line takes milliseconds.
WAIT_S = 30.0
_LOOK_S = 0.002


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock file; the system takes the lock back when its holder ends, however it ends. The file stays.

    Args:
        path: of the lock file, whose folder is made where there is none.

    Raises:
        FeedbackError: ``FEEDBACK_LOG_BUSY`` after :data:`WAIT_S`.
        OutputError: ``OUT_UNWRITABLE``.
    """
    try:
        held = open_private(path, "ab")
    except OSError as error:
        raise OutputError(
            "OUT_UNWRITABLE", f"expected a folder for the feedback log, {path.parent} cannot be written to ({error.strerror})"
        ) from error
    with held:
        until = time.monotonic() + WAIT_S
        while not _locked(held.fileno()):
            if time.monotonic() > until:
                raise FeedbackError("FEEDBACK_LOG_BUSY", f"expected {path.parent} to be free within {WAIT_S:g} s, others write; try again")
            time.sleep(_LOOK_S)
        yield


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Bring a new file's name to the disk, not only its bytes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(stream: IO[bytes], payload: bytes) -> None:
    """Write all bytes to an unbuffered file and bring them to the disk."""
    rest = memoryview(payload)
    while rest:
        rest = rest[stream.write(rest) :]
    os.fsync(stream.fileno())
