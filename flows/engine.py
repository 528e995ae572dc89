"""Who drives: the same plain functions run under Prefect or without it, in the same worker processes.

A flow is a plain function marked :func:`orchestrated`; inside it :func:`run_all` runs a stage once per tuple of arguments.
Neither knows the engine. Results are remembered and verified by the stages themselves (``medkd.storage.workspace.stage``), so a killed
run goes on with either engine.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar

from data_contracts import MissingDependencyError
from flows.run_log import Group, RunLog
from flows.workers import Workers
from medkd.progress import report_progress_to

P = ParamSpec("P")
R = TypeVar("R")


class Engine(Protocol):
    """Runs flows and the calls of stages."""

    name: str

    def run_flow(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Run a flow's body."""
        ...

    def run_all(
        self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]], *, title: str, names: Sequence[str] | None = None
    ) -> list[R]:
        """Run a stage once per tuple of arguments and return the results in order."""
        ...

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Say which groups of calls will come, by title, and about how long each takes."""
        ...


class PlainEngine:
    """No orchestrator: flows are called, stages run in worker processes.

    Args:
        workers: None runs everything in this process.
        log: of the run; None says nothing.
    """

    name = "none"

    def __init__(self, workers: Workers | None = None, log: RunLog | None = None) -> None:
        self.workers = workers
        self.log = log

    def run_flow(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Call the function."""
        return function(*args, **kwargs)

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Hand on what will come to the run's bar."""
        if self.log is not None:
            self.log.expect(seconds)

    def run_all(
        self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]], *, title: str, names: Sequence[str] | None = None
    ) -> list[R]:
        """Submit every call; the first error stops what has not begun and is raised."""
        labels = names or [str(number) for number in range(1, len(calls) + 1)]
        with self.group(title, len(calls)) as group:
            if self.workers is None:
                return [_timed(function, call, name, group) for call, name in zip(calls, labels, strict=True)]
            futures = {self.workers.submit(function, *call): name for call, name in zip(calls, labels, strict=True)}
            return _gather(futures, group)

    def close(self) -> None:
        """End what belongs to the engine."""

    @contextmanager
    def group(self, title: str, count: int) -> Iterator[Group | None]:
        """Follow a group of calls in the run's log."""
        if self.log is None:
            yield None
            return
        # One call at a time runs here: its share is that of the group. Workers keep theirs in shared memory.
        own = _Share()
        share = own.value if self.workers is None else self.workers.share
        # Where no bar is drawn over the whole, parts draw bars of their own.
        report_progress_to(own.set if self.workers is None and self.log.draws_whole else None)
        try:
            with self.log.group(title, count, share) as group:
                yield group
        finally:
            report_progress_to(None)


class _Share:
    """How far the one call is that runs in this process."""

    def __init__(self) -> None:
        self._share = 0.0

    def set(self, share: float) -> None:
        self._share = share

    def value(self) -> float:
        # A call that is done is counted by the group: counted here too it would be two.
        return self._share if self._share < 1 else 0.0


def _timed(function: Callable[..., R], call: tuple[Any, ...], name: str, group: Group | None) -> R:
    started = time.monotonic()
    result = function(*call)
    if group is not None:
        group.finished(name, time.monotonic() - started)
    return result


def _gather(futures: Mapping[Future[tuple[R, float]], str], group: Group | None) -> list[R]:
    try:
        for future in as_completed(futures):
            _, seconds = future.result()
            if group is not None:
                group.finished(futures[future], seconds)
    except BrokenProcessPool as error:
        raise lost_worker() from error
    finally:
        for future in futures:
            future.cancel()
    # In the order of the calls, whichever of them ended first.
    return [future.result()[0] for future in futures]


def lost_worker() -> MissingDependencyError:
    """Return the error of a worker process that ended in the middle of its work."""
    return MissingDependencyError(
        "WORKER_LOST", "expected worker processes to finish, one was killed (often: out of memory); run again, finished stages are kept"
    )


CURRENT: ContextVar[Engine] = ContextVar("engine")


def current_engine() -> Engine:
    """Return the engine in charge; without one, everything runs here and now."""
    # A context variable: a flow in another thread of the same process has an engine of its own.
    return CURRENT.get(PlainEngine())


def orchestrated(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a plain function as a flow; ``__wrapped__`` is the function itself."""

    @functools.wraps(function)
    def flow(*args: P.args, **kwargs: P.kwargs) -> R:
        return current_engine().run_flow(function, *args, **kwargs)

    return flow


def run_all(function: Callable[..., R], calls: Sequence[tuple[Any, ...]], *, title: str, names: Sequence[str] | None = None) -> list[R]:
    """Run a stage once per tuple of arguments under the engine in charge; results in the order of the calls.

    Args:
        function: the stage.
        calls: arguments of each call.
        title: what a person reads of the group while it runs.
        names: of each call, for logs and Prefect's task runs; by default their numbers.
    """
    return current_engine().run_all(function, calls, title=title, names=names)


def expect(seconds: Mapping[str, float]) -> None:
    """Say which groups of calls will come, by title, and about how long each takes: a bar can then show the time left of the whole."""
    current_engine().expect(seconds)
