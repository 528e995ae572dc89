"""One training at a time per GPU, by a lock file per GPU: it is free the moment its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from data_contracts import MissingDependencyError

_LOG = logging.getLogger("medkd")
#: Seconds between two looks at the locks.
LOOK_S = 0.5


def lock_folder() -> Path:
    """Return where the locks of this machine lie (``MEDKD_LOCKS``): shared by all runs of all users, so outside of any run."""
    return Path(os.environ.get("MEDKD_LOCKS", Path(tempfile.gettempdir()) / "medkd-locks"))


@contextmanager
def gpu_slot(*, gpus: int | None = None, folder: Path | None = None, most_s: float | None = None) -> Iterator[int | None]:
    """Hold one GPU of this machine for a while and say which; None where there is none (nothing is held then).

    Args:
        gpus: how many GPUs there are; by default those that torch sees.
        folder: of the lock files; by default :func:`lock_folder`.
        most_s: longest wait; by default as long as it takes.

    Raises:
        MissingDependencyError: ``GPU_BUSY`` when every GPU stayed taken for ``most_s``.
    """
    count = _visible_gpus() if gpus is None else gpus
    if count == 0:
        yield None
        return
    place = folder or lock_folder()
    place.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # another user made it, and did this
        place.chmod(0o777)
    index, lock = _acquire(place, count, most_s)
    try:
        yield index
    finally:
        lock.release()


def _acquire(place: Path, count: int, most_s: float | None) -> tuple[int, FileLock]:
    started, said = time.monotonic(), False
    while True:
        for index in range(count):
            lock = FileLock(place / f"gpu-{index}.lock", mode=0o666)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            return index, lock
        if most_s is not None and time.monotonic() - started >= most_s:
            raise MissingDependencyError(
                "GPU_BUSY", f"expected one of {count} GPUs to be free within {most_s:g} s, all are taken (locks in {place})"
            )
        if not said:
            _LOG.info("waiting for one of %d GPUs", count)
            said = True
        time.sleep(LOOK_S)


def _visible_gpus() -> int:
    import torch

    return torch.cuda.device_count()
