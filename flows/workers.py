"""Worker processes: one thread each, that say how far they are and end with the process that started them."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

from flows.environment import end_quickly

R = TypeVar("R")
#: What nearly every stage imports sooner or later; none of them starts a thread or touches a GPU when it is imported.
NEEDED = ("medkd.training.train", "monai.networks.nets", "lightning_fabric", "sklearn.metrics", "medkd.inference.explain")
_own_share: Callable[[float], None] | None = None


class Workers:
    """A pool of spawned processes.

    Args:
        count: how many; with several, each computes with one thread: two threads each would fight over the cores.
    """

    def __init__(self, count: int) -> None:
        if count > 1:
            os.environ["OMP_NUM_THREADS"] = "1"
        context = _context()
        self._shares = context.Array("d", count, lock=False)
        places = context.SimpleQueue()
        for place in range(count):
            places.put(place)
        self._open: set[Future[Any]] = set()
        self._pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(places, count, self._shares))
        for _ in range(count):
            self._pool.submit(os.getpid)  # processes start, and import, while this one does

    def submit(self, function: Callable[..., R], *arguments: Any) -> Future[tuple[R, float]]:
        """Call a function in a worker; the future holds its result and the seconds it took."""
        future = self._pool.submit(_in_worker, function, *arguments)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def share(self) -> float:
        """Return how many calls the running ones amount to: the sum of the done shares (0 to 1) of each."""
        return float(sum(self._shares))

    def end(self) -> None:
        """End every worker at once, whatever it is at."""
        for process in list((self._pool._processes or {}).values()):  # public from Python 3.14 on: terminate_workers
            with contextlib.suppress(OSError, ValueError):
                process.kill()

    def close(self) -> None:
        """Wait for what runs; what has not begun does not begin. Where nothing runs nobody waits: not for imports either."""
        if not self._open:
            self.end()
        self._pool.shutdown(cancel_futures=True)


def _context() -> Any:
    """Return how processes are started: forked off one that has imported what all of them need, and has done nothing else.

    Each of them would take seconds of its own for that. Where there is no fork (Windows) they are spawned.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(NEEDED))
    return context


def _in_worker(function: Callable[..., R], *arguments: Any) -> tuple[R, float]:
    report, begun = _own_share or (lambda _: None), time.monotonic()
    report(0.0)
    try:
        return function(*arguments), time.monotonic() - begun
    finally:
        report(0.0)


def _begin(places: Any, count: int, shares: Any) -> None:
    global _own_share
    end_quickly()
    # A terminal's Ctrl-C reaches every process of its group: the one that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    place = places.get()

    def report(share: float) -> None:
        shares[place] = share

    _own_share = report
    import torch

    from medkd.progress import report_progress_to

    report_progress_to(report)
    if count > 1:
        torch.set_num_threads(1)
    for name in NEEDED:
        importlib.import_module(name)  # done before the first stage is asked for


def end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone: a killed run must not go on writing beside its successor."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
