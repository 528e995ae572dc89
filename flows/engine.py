"""Who drives: the same functions run under Prefect or without it, in the same worker processes.

Results are remembered and verified by the stages themselves (``medkd.storage.workspace.stage``), so a killed run goes on with either engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from data_contracts import MedkdError, MissingDependencyError
from flows.run_log import Group, RunLog
from flows.workers import Workers
from medkd.progress import report_progress_to

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
#: How often calls that a lost worker process held are begun again before the run gives up.
MOST_TRIES = 3
#: Codes of ours that say that something outside did not answer.
_PASSING = frozenset({"WORKER_LOST", "REGISTRY_UNREACHABLE", "STORE_UNREACHABLE"})
#: Errors, and bases of errors, of networks and servers.
_OUTSIDE = frozenset({"ConnectionError", "TimeoutError", "Timeout", "TransportError", "EndpointConnectionError", "OperationalError"})


class Decorated(Protocol[R_co]):
    """A function that was made a flow or a task."""

    name: str

    @property
    def fn(self) -> Callable[..., R_co]:
        """Return the plain function."""
        ...


class Engine(Protocol):
    """Runs flows and the calls of tasks."""

    name: str
    #: Processes that tasks compute in; None where they compute in the process that calls them.
    workers: Workers | None

    def run_flow(self, wanted: Decorated[R], *args: Any, **kwargs: Any) -> R:
        """Run a flow."""
        ...

    def submit_all(
        self,
        work: Decorated[R],
        calls: Sequence[tuple[Any, ...]],
        *,
        title: str,
        names: Sequence[str] | None = None,
        reads_disk: bool = False,
    ) -> list[R]:
        """Run a task once per tuple of arguments and return the results in order."""
        ...

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Say which groups of calls will come, by title, and about how long each takes."""
        ...


class PlainEngine:
    """No orchestrator: flows are called, tasks run in worker processes.

    Args:
        workers: None runs everything in this process.
        log: of the run; None says nothing.
    """

    name = "none"

    def __init__(self, workers: Workers | None = None, log: RunLog | None = None) -> None:
        self.workers = workers
        self.log = log

    def run_flow(self, wanted: Decorated[R], *args: Any, **kwargs: Any) -> R:
        """Call the function."""
        return wanted.fn(*args, **kwargs)

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Hand on what will come to the run's bar."""
        if self.log is not None:
            self.log.expect(seconds)

    def submit_all(
        self,
        work: Decorated[R],
        calls: Sequence[tuple[Any, ...]],
        *,
        title: str,
        names: Sequence[str] | None = None,
        reads_disk: bool = False,
    ) -> list[R]:
        """Submit every call; the first error stops what has not begun and is raised. All calls run on this machine."""
        function, names = work.fn, names_of(calls, names)
        with self.group(title, len(calls)) as group:
            if self.workers is None:
                done = []
                for call, name in zip(calls, names, strict=True):
                    done.append(function(*call))
                    group.finished(name)
                return done
            return _in_workers(self.workers, function, calls, names, group)

    def close(self) -> None:
        """End what belongs to the engine."""

    @property
    def at_once(self) -> int:
        """Return how many calls run at the same time."""
        return 1 if self.workers is None else self.workers.count

    @contextmanager
    def group(self, title: str, count: int) -> Iterator[GroupOfCalls]:
        """Follow a group of calls in the run's log."""
        if self.log is None:
            yield GroupOfCalls(None, self.at_once)
            return
        # One call at a time runs here: its share is that of the group. Workers keep theirs in shared memory.
        own = _Share()
        share = own.value if self.workers is None else self.workers.share
        # Where no bar is drawn over the whole, parts draw bars of their own.
        report_progress_to(own.set if self.workers is None and self.log.draws_whole else None)
        try:
            with self.log.group(title, count, share) as group:
                yield GroupOfCalls(group, self.at_once)
        finally:
            report_progress_to(None)


class GroupOfCalls:
    """Notes the ends of calls that run some at a time, in the order in which they were submitted.

    Args:
        group: of the run's log; None where there is none.
        at_once: how many calls run at the same time.
    """

    def __init__(self, group: Group | None, at_once: int) -> None:
        self._group = group
        # The next call began when one that ran before it ended: that is all the bookkeeping that times need, wherever calls run.
        self._starts = [time.monotonic()] * max(1, at_once)

    def finished(self, name: str) -> None:
        """Note that a call is over."""
        now = time.monotonic()
        started = self._starts.pop(0)
        self._starts.append(now)
        if self._group is not None:
            self._group.finished(name, now - started)


class _Share:
    """How far the one call is that runs in this process."""

    def __init__(self) -> None:
        self._share = 0.0

    def set(self, share: float) -> None:
        self._share = share

    def value(self) -> float:
        # A call that is done is counted by the group: counted here too it would be two.
        return self._share if self._share < 1 else 0.0


def _in_workers(
    workers: Workers, function: Callable[..., R], calls: Sequence[tuple[Any, ...]], names: Sequence[str], group: GroupOfCalls
) -> list[R]:
    """Call in worker processes; what a lost one held, and what waited for it, is begun again."""
    results: dict[int, R] = {}
    for left in range(MOST_TRIES - 1, -1, -1):
        futures = {workers.submit(function, *calls[place]): place for place in range(len(calls)) if place not in results}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                group.finished(names[futures[future]])
            break
        except BrokenProcessPool as error:
            if not left:
                raise lost_worker() from error
        finally:
            for future in futures:
                future.cancel()
    return [results[place] for place in range(len(calls))]


def names_of(calls: Sequence[tuple[Any, ...]], names: Iterable[str] | None) -> list[str]:
    """Return what calls are called: as somebody names them, or by their numbers."""
    return list(names) if names is not None else [str(number) for number in range(1, len(calls) + 1)]


def lost_worker() -> MissingDependencyError:
    """Return the error of a worker process that ended in the middle of its work."""
    return MissingDependencyError(
        "WORKER_LOST", "expected worker processes to finish, one was killed (often: out of memory); run again, finished stages are kept"
    )


def may_pass(error: BaseException) -> bool:
    """Say whether what failed may be over when it is tried again: a network, a server, a worker; never what we refuse."""
    if isinstance(error, MedkdError):
        return error.code in _PASSING
    # By name: requests, httpx and botocore have errors of their own for the same, and none of them is imported for this.
    return bool(_OUTSIDE & {kind.__name__ for kind in type(error).__mro__})


CURRENT: ContextVar[Engine] = ContextVar("engine")


def current_engine() -> Engine:
    """Return the engine in charge; without one, everything runs here and now."""
    # A context variable: a flow in another thread of the same process has an engine of its own.
    return CURRENT.get(PlainEngine())
