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
    with gpu_slots(1, gpus=gpus, folder=folder, most_s=most_s) as indices:
        yield indices[0] if indices else None


@contextmanager
def gpu_slots(
    wanted: int, *, gpus: int | None = None, folder: Path | None = None, most_s: float | None = None
) -> Iterator[tuple[int, ...]]:
    """As :func:`gpu_slot`, several at once: all of them or none, so that two trainings never wait for each other's.

    Args:
        wanted: how many.
        gpus, folder, most_s: as :func:`gpu_slot`.

    Raises:
        MissingDependencyError: ``GPU_BUSY`` as :func:`gpu_slot`; ``GPU_TOO_FEW`` where there are some, and fewer than wanted.
    """
    count = visible_gpus() if gpus is None else gpus
    if count == 0:
        yield ()
        return
    if wanted > count:
        raise MissingDependencyError(
            "GPU_TOO_FEW", f"expected {wanted} GPUs for as many processes, there are {count}; ask for at most {count}"
        )
    place = folder or lock_folder()
    place.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # another user made it, and did this
        place.chmod(0o777)
    held = _acquire(place, count, wanted, most_s)
    try:
        yield tuple(held)
    finally:
        for lock in held.values():
            lock.release()


def _acquire(place: Path, count: int, wanted: int, most_s: float | None) -> dict[int, FileLock]:
    started, said = time.monotonic(), False
    while True:
        held = _free(place, count, wanted)
        if len(held) == wanted:
            return held
        for lock in held.values():
            lock.release()
        if most_s is not None and time.monotonic() - started >= most_s:
            needed = "one" if wanted == 1 else str(wanted)
            raise MissingDependencyError(
                "GPU_BUSY", f"expected {needed} of {count} GPUs to be free within {most_s:g} s, too many are taken (locks in {place})"
            )
        if not said:
            _LOG.info("waiting for %d of %d GPUs", wanted, count)
            said = True
        time.sleep(LOOK_S)


def _free(place: Path, count: int, wanted: int) -> dict[int, FileLock]:
    """Lock GPUs that nobody holds, at most as many as are wanted."""
    held: dict[int, FileLock] = {}
    for index in range(count):
        lock = FileLock(place / f"gpu-{index}.lock", mode=0o666)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            held[index] = lock
        if len(held) == wanted:
            break
    return held


def visible_gpus() -> int:
    """Return how many GPUs torch sees."""
    import torch

    return torch.cuda.device_count()
