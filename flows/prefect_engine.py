"""Flows and tasks as runs of Prefect: by a server that the user has, or by one that is started for the run."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast

from httpx import HTTPError
from prefect.futures import PrefectFuture, as_completed, wait
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_HOME, temporary_settings

from data_contracts import MissingDependencyError
from flows.confidential_call import Outcome, WorkFailed
from flows.engine import Decorated, GroupOfCalls, PlainEngine, names_of
from flows.orchestration import MedkdFlow, MedkdTask
from flows.prefect_artifacts import Progress
from flows.prefect_database import keep_database
from flows.prefect_server import EmbeddedServer
from flows.run_log import RunLog
from flows.task_runners import Runner, RunnerChoice, make_runner
from flows.work import Sealed
from flows.workers import Workers
from medkd.storage.objects import store_uri
from medkd.storage.process_mark import PROCESS, process_mark
from medkd.storage.shared_results import publish_references
from medkd.storage.workspace import Workspace

if TYPE_CHECKING:
    from prefect import Task


R = TypeVar("R")
_LOG = logging.getLogger("medkd")
#: Whether this is inside a flow run of ours: a flow that is called there is a part of that run.
_INSIDE: ContextVar[bool] = ContextVar("inside", default=False)


class PrefectEngine(PlainEngine):
    """Flow runs and task runs, recorded by Prefect.

    Args:
        workers: processes in which tasks compute that run in threads; None computes in the threads.
        log: of the run; None says nothing.
        server: started for the run; None goes by the one that the user's settings name.
        runner: where task runs take place.
    """

    name = "prefect"

    def __init__(
        self,
        workers: Workers | None,
        log: RunLog | None = None,
        *,
        server: EmbeddedServer | None = None,
        runner: RunnerChoice | None = None,
    ) -> None:
        super().__init__(workers, log)
        self.runner = runner or RunnerChoice()
        self.server = server
        self._settings = ExitStack()
        self._is_ready = False
        # Its runs have logs of their own, and whoever started the run is told otherwise.
        logging.getLogger("prefect").propagate = False
        for service in (
            "APILogWorker",
            "EventsWorker",
        ):  # loggers of their own: "Still processing items", on the way out of every short run
            logging.getLogger(service).setLevel(logging.ERROR)
        self._progress: Progress | None = None

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Hand on what will come to the run's bar and to the artefact that shows the progress."""
        super().expect(seconds)
        if _INSIDE.get():
            self._progress = Progress(seconds)

    def close(self) -> None:
        """End the embedded server, once it was told everything."""
        APILogHandler().flush()
        self._settings.close()
        if self.server is not None:
            self.server.stop()

    @property
    def at_once(self) -> int:
        """Return how many calls run at the same time."""
        return self.runner.count or super().at_once

    def run_flow(self, wanted: Decorated[R], *args: Any, **kwargs: Any) -> R:
        """Run a flow, or a part of the flow that is running."""
        if _INSIDE.get():
            return wanted.fn(*args, **kwargs)
        self._await_server()
        outcome: Outcome[R] = Outcome()
        recorded = cast(MedkdFlow[..., R], wanted).recorded(
            make_runner(self.runner, self.workers),
            run_name(wanted.name, args, kwargs),
            (*recipes_in(args, kwargs), f"{PROCESS}:{process_mark()}"),
            outcome,
        )
        try:
            with self._inside():
                recorded(*args, return_state=True, **kwargs)
        except HTTPError as error:
            if not outcome.is_known:
                raise lost_server(error) from error
            _LOG.warning("Prefect's server was not told of the end of the run (%s)", type(error).__name__)
        try:
            return outcome.get()
        except HTTPError as error:
            raise lost_server(error) from error

    def _is_apart(self) -> bool:
        """Return whether workers may have folders of their own."""
        return self.runner.kind is Runner.dask and store_uri() is not None

    def _run_here(self, runs: Sequence[Task[..., R]], calls: Sequence[tuple[Any, ...]], title: str, names: Sequence[str]) -> list[R]:
        """Run calls that read folders of this machine as task runs in this process, one after the other."""
        done = []
        with self.group(title, len(calls)) as group:
            for run, call, name in zip(runs, calls, names, strict=True):
                done.append(_unveiled(functools.partial(run, *map(Sealed, call))))
                group.finished(name)
        if self._progress is not None:
            self._progress.finished(title)
        return done

    @contextmanager
    def _inside(self) -> Iterator[None]:
        token = _INSIDE.set(True)
        try:
            yield
        finally:
            self._progress = None
            _INSIDE.reset(token)

    def _await_server(self) -> None:
        if self.server is None or self._is_ready:
            return
        self.server.wait()
        # Heartbeats tell a lasting server of a lost process; ending their thread costs a second a flow. The embedded server
        # ends with this process, so nobody would listen.
        settings: Mapping[Any, Any] = {
            PREFECT_API_URL: self.server.url,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            PREFECT_HOME: self.server.home,
        }
        self._settings.enter_context(temporary_settings(settings))
        self._is_ready = True
        keep_database(self.server.home)

    def submit_all(
        self,
        work: Decorated[R],
        calls: Sequence[tuple[Any, ...]],
        *,
        title: str,
        names: Sequence[str] | None = None,
        reads_disk: bool = False,
    ) -> list[R]:
        """Submit every call as a task run."""
        if not _INSIDE.get():
            return super().submit_all(work, calls, title=title, names=names)
        names = names_of(calls, names)
        with_options = cast(MedkdTask[..., R], work).prefect.with_options
        # Prefect's own names say the task and a number: these say which recipe, arm and seed.
        runs = [with_options(task_run_name=f"{work.name} {name}") for name in names]
        if self._is_apart():
            if reads_disk:
                return self._run_here(runs, calls, title, names)
            calls = [for_others(call) for call in calls]
        with self.group(title, len(calls)) as group:
            futures = [run.submit(*map(Sealed, call)) for run, call in zip(runs, calls, strict=True)]
            _note_ends(futures, names, group)
            if self._progress is not None:
                self._progress.finished(title)
            return [_unveiled(future.result) for future in futures]


def for_others(call: Sequence[Any]) -> tuple[Any, ...]:
    """Return the arguments of a call as they go to machines with folders of their own; what they refer to is left in the shared store."""
    for workspace in (one for one in call if isinstance(one, Workspace)):
        publish_references(workspace, *call)
    return tuple(one.for_others() if isinstance(one, Workspace) else one for one in call)


def _note_ends(futures: Sequence[PrefectFuture[Any]], names: Sequence[str], group: GroupOfCalls) -> None:
    named = dict(zip((future.task_run_id for future in futures), names, strict=True))
    for future in as_completed(list(futures)):
        # Its result is fetched here and now: where it lies in a worker of a cluster, it would be lost with that one.
        future.wait()
        if future.state.is_completed():
            group.finished(named[future.task_run_id])
    # All to their end before the first is asked: an error must not leave tasks running behind a flow that is over.
    wait(list(futures))


def lost_server(error: HTTPError) -> MissingDependencyError:
    """Return the error of a run whose server of Prefect went away, or failed, for longer than its client asks again."""
    return MissingDependencyError(
        "PREFECT_UNREACHABLE",
        f"expected Prefect's server to answer, it gave {type(error).__name__} for a minute; finished stages are kept: run again once it is there",
    )


def _unveiled(call: Callable[[], R]) -> R:
    """Call, and raise the error itself in place of what was written down of it."""
    try:
        return call()
    except WorkFailed as failed:
        if failed.error is None:
            raise
        error = failed.error
    raise error


def run_name(flow_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the name of a flow run: the flow's, and of which recipes."""
    return " ".join((flow_name, *recipes_in(args, kwargs)))


def recipes_in(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
    """Return the names of the recipes among arguments, alone or in a tuple."""
    from data_contracts import Recipe

    given = [one for value in (*args, *kwargs.values()) for one in (value if isinstance(value, tuple) else (value,))]
    return [one.name for one in given if isinstance(one, Recipe)]
