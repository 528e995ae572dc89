"""Worker processes: one thread each, that say how far they are and end with the process that started them.

Where the system can (Linux), they are forked from one process that has imported what every stage needs and does nothing else
(``multiprocessing``'s fork server): the imports, four seconds of a core, are made once and not by each worker.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from data_contracts.private import enter_privately
from flows.environment import end_quickly

R = TypeVar("R")
#: When a run ends at once, multiprocessing's own helper process removes its semaphores and warns of them: nothing that a user could act on.
_QUIET = "ignore:resource_tracker:UserWarning"
#: What the process that workers are forked from imports before it is asked for any.
PRELOADED = "flows.fork_server"
_own_share: Callable[[float], None] | None = None


class Workers:
    """A pool of worker processes.

    Args:
        count: how many; with several, each computes with one thread: two threads each would fight over the cores.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        if count > 1:
            os.environ["OMP_NUM_THREADS"] = "1"
        if _QUIET not in sys.warnoptions:
            sys.warnoptions.append(_QUIET)  # is given on to the processes that multiprocessing starts
        context = _context()
        self._shares = context.Array("d", count, lock=False)
        places = context.SimpleQueue()
        for place in range(count):
            places.put(place)
        self._open: set[Future[Any]] = set()
        self._starting: threading.Thread | None = None
        self._places, self._context, self._renewing, self._ended = places, context, threading.Lock(), False
        self._pool = self._started()

    def _started(self) -> ProcessPoolExecutor:
        initial = (dict(os.environ), self._places, self.count, self._shares)
        pool = ProcessPoolExecutor(self.count, mp_context=self._context, initializer=begin_worker, initargs=initial)
        with _ignoring_interrupts():  # processes ignore a terminal's Ctrl-C from their first instruction on
            if self._context.get_start_method() == "forkserver":
                multiprocessing.forkserver.ensure_running()
                # The server answers once it has imported: meanwhile this process imports what it needs itself.
                self._starting = threading.Thread(target=self._start_all, args=(pool,), daemon=True)
                self._starting.start()
            else:
                self._start_all(pool)
        return pool

    def _start_all(self, pool: ProcessPoolExecutor) -> None:
        with contextlib.suppress(RuntimeError, EOFError, OSError):  # ended meanwhile: whoever submits is told
            for _ in range(0 if self._ended else self.count):
                pool.submit(os.getpid)  # something that is there without an import: only the start is wanted
        if self._ended:
            _kill(pool)
            pool.shutdown(wait=False, cancel_futures=True)

    def submit(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        """Call a function in a worker process; where one was lost, all are started anew first.

        Raises:
            BrokenProcessPool: by the future, when a worker ended in the middle of its work.
        """
        with self._renewing:
            try:
                future = self._pool.submit(_in_worker, function, *arguments)
            except BrokenProcessPool:
                if self._ended:
                    raise
                self._pool.shutdown(wait=False, cancel_futures=True)
                for place in range(self.count):
                    self._shares[place] = 0.0
                    self._places.put(place)
                self._pool = self._started()
                future = self._pool.submit(_in_worker, function, *arguments)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def share(self) -> float:
        """Return how many calls the running ones amount to: the sum of the done shares (0 to 1) of each."""
        return float(sum(self._shares))

    def end(self) -> None:
        """End every worker at once, whatever it is at; none is started any more."""
        self._ended = True
        if self._starting is not None and self._starting.is_alive():
            _kill_fork_server()
        _kill(self._pool)

    def close(self) -> None:
        """Wait for what runs; what has not begun does not begin. Where nothing runs nobody waits: not for imports either."""
        if not self._open:
            self.end()
            if self._starting is not None and self._starting.is_alive():
                return  # the thread ends what it starts
        self._pool.shutdown(cancel_futures=True)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):  # public from Python 3.14 on: terminate_workers
        with contextlib.suppress(OSError, ValueError):
            process.kill()


def _kill_fork_server(*, wait: bool = False) -> None:
    """Kill what workers are forked from, and those which it has not named yet with it; the next who wants workers starts it anew."""
    number = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if number is not None:
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGKILL)
            if wait:
                os.waitpid(number, 0)


@functools.cache
def _account_for_workers() -> None:
    """Wait for what workers were forked from as this process ends: whoever asks what a run cost is told of its workers too."""
    atexit.register(_kill_fork_server, wait=True)


def _context() -> Any:
    """Return how processes are started: forked from a process without threads of ours or a GPU, else fresh ones."""
    if sys.platform != "linux":  # elsewhere system libraries do not survive a fork
        return multiprocessing.get_context("spawn")
    _account_for_workers()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    return context


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


def _in_worker(function: Callable[..., R], *arguments: Any) -> R:
    report = _own_share or (lambda _: None)
    report(0.0)
    try:
        return function(*arguments)
    finally:
        report(0.0)


def begin_process(count: int) -> None:
    """Make a fresh process a worker: quiet, private, one thread where there are several, ended with the process that started it."""
    end_quickly()
    enter_privately()
    # A terminal's Ctrl-C reaches every process of its group: the one that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    import torch

    if count > 1:
        torch.set_num_threads(1)


def begin_worker(environment: dict[str, str], places: Any, count: int, shares: Any) -> None:
    """Make a fresh process one of a run's workers, which says how far it is.

    The environment is that of the process that wants it: the one it was forked from may have been started under another.
    """
    global _own_share
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)
    begin_process(count)
    place = places.get()

    def report(share: float) -> None:
        shares[place] = share

    _own_share = report
    from medkd.progress import report_progress_to

    report_progress_to(report)
    import flows.worker_imports  # noqa: F401 - before the first stage is asked for, where it was not forked with them


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
