"""Worker processes: fresh ones, one thread each, that say how far they are and end with the process that started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

from data_contracts.private import enter_privately
from flows.environment import end_quickly

R = TypeVar("R")
#: When a run ends at once, multiprocessing's own helper process removes its semaphores and warns of them: nothing that a user could act on.
_QUIET = "ignore:resource_tracker:UserWarning"
_own_share: Callable[[float], None] | None = None


class Workers:
    """A pool of spawned processes.

    Args:
        count: how many; with several, each computes with one thread: two threads each would fight over the cores.
    """

    def __init__(self, count: int) -> None:
        if count > 1:
            os.environ["OMP_NUM_THREADS"] = "1"
        if _QUIET not in sys.warnoptions:
            sys.warnoptions.append(_QUIET)  # is given on to the processes that multiprocessing starts
        context = multiprocessing.get_context("spawn")
        self._shares = context.Array("d", count, lock=False)
        places = context.SimpleQueue()
        for place in range(count):
            places.put(place)
        self._open: set[Future[Any]] = set()
        self._pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(places, count, self._shares))
        with _ignoring_interrupts():  # processes ignore a terminal's Ctrl-C from their first instruction on
            for _ in range(count):
                # Something that is there without an import: only the start is wanted.
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


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _in_worker(function: Callable[..., R], *arguments: Any) -> tuple[R, float]:
    report, started = _own_share or (lambda _: None), time.monotonic()
    report(0.0)
    try:
        return function(*arguments), time.monotonic() - started
    finally:
        report(0.0)


def _begin(places: Any, count: int, shares: Any) -> None:
    global _own_share
    end_quickly()
    enter_privately()
    # A terminal's Ctrl-C reaches every process of its group: the one that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    place = places.get()

    def report(share: float) -> None:
        shares[place] = share

    _own_share = report
    import torch

    from medkd.progress import report_progress_to

    report_progress_to(report)
    if count > 1:
        torch.set_num_threads(1)
    import medkd.training.train  # noqa: F401 - what every stage needs, imported before the first one is asked for


def _end_with_starter() -> None:
    """End this worker when the process that started it is gone: a killed run must not go on writing beside its successor.

    That is noticed at once, also where another process is its parent.
    """
    starter = multiprocessing.parent_process()
    if starter is not None:
        starter.join()
        os._exit(1)


def end_with_parent(parent: int) -> None:
    """End this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
