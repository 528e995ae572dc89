"""Who drives: the same plain functions run under Prefect or without it, in the same worker processes.

A flow is a plain function marked :func:`orchestrated`; inside it :func:`run_all` runs a stage once per tuple of arguments.
Neither knows the engine. Results are remembered and verified by the stages themselves (``medkd.workspace.stage``), so a killed
run goes on with either engine.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from tqdm import tqdm

from data_contracts import EnvironmentProblem
from flows.environment import end_quickly, prepare_prefect

_LOG = logging.getLogger("medkd")
#: The line of the terminal that a worker process draws its own progress on (as in ``medkd.progress``, which workers import).
_PROGRESS_LINE = "MEDKD_PROGRESS_LINE"
P = ParamSpec("P")
R = TypeVar("R")


class Engine(Protocol):
    """Runs flows and the calls of stages."""

    name: str

    def run_flow(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Run a flow's body."""
        ...

    def run_all(self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]], *, title: str) -> list[R]:
        """Run a stage once per tuple of arguments and return the results in order."""
        ...


class PlainEngine:
    """No orchestrator: flows are called, stages run in the pool.

    Args:
        pool: worker processes; None runs everything in this process.
        progress: show one bar per group of calls.
    """

    name = "none"

    def __init__(self, pool: ProcessPoolExecutor | None = None, *, progress: bool = False) -> None:
        self.pool = pool
        self.progress = progress

    def run_flow(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Call the function."""
        return function(*args, **kwargs)

    def run_all(self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]], *, title: str) -> list[R]:
        """Submit every call; the first error stops what has not begun and is raised."""
        with self.bar(title, len(calls)) as bar:
            if self.pool is None:
                return [_counted(function, call, bar) for call in calls]
            futures = [self.pool.submit(function, *call) for call in calls]
            return _gather(futures, bar)

    def bar(self, title: str, total: int) -> tqdm[Any]:
        """Return the bar of a group of calls, on standard error."""
        return tqdm(total=total, desc=title, unit="run", disable=None if self.progress else True, leave=False)


def _counted(function: Callable[..., R], call: tuple[Any, ...], bar: tqdm[Any]) -> R:
    result = function(*call)
    bar.update()
    return result


def _gather(futures: Sequence[Future[R]], bar: tqdm[Any]) -> list[R]:
    try:
        for future in as_completed(futures):
            future.result()
            bar.update()
    except BrokenProcessPool as error:
        raise EnvironmentProblem(
            "WORKER_LOST", "expected worker processes to finish, one was killed (often: out of memory); run again, finished stages are kept"
        ) from error
    finally:
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]


_CURRENT: ContextVar[Engine] = ContextVar("engine")


def current_engine() -> Engine:
    """Return the engine in charge; without one, everything runs here and now."""
    return _CURRENT.get(PlainEngine())


def orchestrated(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a plain function as a flow; ``__wrapped__`` is the function itself."""

    @functools.wraps(function)
    def flow(*args: P.args, **kwargs: P.kwargs) -> R:
        return current_engine().run_flow(function, *args, **kwargs)

    return flow


def run_all(function: Callable[..., R], calls: Sequence[tuple[Any, ...]], *, title: str) -> list[R]:
    """Run a stage once per tuple of arguments under the engine in charge; results in the order of the calls."""
    return current_engine().run_all(function, calls, title=title)


@contextmanager
def start_engine(name: str, root: Path, *, workers: int | None = None, progress: bool = False) -> Iterator[Engine]:
    """Put an engine in charge for a while.

    Args:
        name: ``prefect`` or ``none``.
        root: folder of the run; an embedded Prefect lives below it.
        workers: worker processes; by default one per core, at most two (``MEDKD_WORKERS`` overrides); 0 works in this process.
        progress: show bars.
    """
    count = int(os.environ.get("MEDKD_WORKERS", min(2, os.cpu_count() or 1))) if workers is None else workers
    pool = _start_pool(count) if count > 0 else None
    try:
        engine: Engine
        if name == "prefect":
            prepare_prefect(root / "prefect")
            from flows.prefect_engine import PrefectEngine

            engine = PrefectEngine(pool, progress=progress)
        else:
            engine = PlainEngine(pool, progress=progress)
        token = _CURRENT.set(engine)
        try:
            yield engine
        finally:
            _CURRENT.reset(token)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _start_pool(workers: int) -> ProcessPoolExecutor:
    """Return fresh (spawned) processes: with several, each computes with one thread (two threads each would fight over cores)."""
    if workers > 1:
        os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    lock = context.RLock()
    tqdm.set_lock(lock)
    lines = context.SimpleQueue()
    for line in range(1, workers + 1):
        lines.put(line)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(lines, workers, lock))
    for _ in range(workers):
        pool.submit(os.getpid)  # processes start, and import, while this one does
    return pool


def _end_with_parent(parent: int) -> None:
    """End this worker when the process that started it is gone: a killed run must not go on writing beside its successor."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _begin_worker(lines: Any, workers: int, lock: Any) -> None:
    end_quickly()
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    os.environ[_PROGRESS_LINE] = str(lines.get())
    tqdm.set_lock(lock)
    import torch

    if workers > 1:
        torch.set_num_threads(1)
    import medkd.training.train  # noqa: F401 - what every stage needs, imported before the first one is asked for
