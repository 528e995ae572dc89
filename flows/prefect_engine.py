"""The embedded Prefect engine. Prefect only decorates: results are the stage's own.

Its database is told that something runs, how long and how it ended, and nothing of what with: folders and files are often called after
people, so neither arguments nor sentences of errors go there (:mod:`flows.confidential_call`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import Any, TypeVar, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner

from flows.confidential_call import ConfidentialCall
from flows.engine import PlainEngine, lost_worker
from flows.prefect_database import keep_database
from flows.prefect_server import EmbeddedServer
from flows.run_log import Group, RunLog
from flows.workers import Workers

R = TypeVar("R")


class PrefectEngine(PlainEngine):
    """Flows and tasks are recorded by Prefect; a task hands its work to a worker process and waits.

    Prefect's own result cache is off: it trusts a hit blindly, whereas a stage verifies every byte that it remembers.
    """

    name = "prefect"

    def __init__(self, workers: Workers | None, log: RunLog | None = None) -> None:
        super().__init__(workers, log)
        home = get_current_settings().home
        # The embedded server takes seconds to start: begun here, it is there when the first flow asks for it.
        self.server = None if get_current_settings().api.url else EmbeddedServer(home)
        self._settings = ExitStack()
        self._ready = threading.Event()

    def close(self) -> None:
        """End the embedded server."""
        self._settings.close()
        if self.server is not None:
            self.server.stop()

    def run_flow(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Run a function as a (sub)flow."""
        self._await_server()
        # A task waits in its thread for the pool; without a pool it works there, and stages seed torch's one global generator.
        runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=1 if self.workers is None else 4)
        work = ConfidentialCall(function, args, kwargs)
        decorate = flow(name=_key(function), validate_parameters=False, task_runner=cast(Any, runner), persist_result=False)
        return work.by(decorate(work.body))

    def _await_server(self) -> None:
        if self.server is None or self._ready.is_set():
            return
        self.server.wait()
        # Heartbeats tell a lasting server of a lost process; ending their thread costs a second a flow. The embedded server
        # ends with this process, so nobody would listen.
        settings: Mapping[Any, Any] = {PREFECT_API_URL: self.server.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        self._settings.enter_context(temporary_settings(settings))
        self._ready.set()
        keep_database(get_current_settings().home)

    def run_all(
        self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]], *, title: str, names: Sequence[str] | None = None
    ) -> list[R]:
        """Submit every call as a task run."""
        labels = names or [str(number) for number in range(1, len(calls) + 1)]
        with self.group(title, len(calls)) as group:
            started = []
            for call, name in zip(calls, labels, strict=True):
                work = ConfidentialCall(_noted(function, self.workers, name, group), call)
                # Prefect's own names say the task and a number: these say which arm and seed.
                run_name = f"{_key(function)} {name}" if names else f"{_key(function)}-{name}"
                decorate = task(name=_key(function), task_run_name=run_name, cache_policy=NO_CACHE, persist_result=False)
                started.append((work, decorate(work.body).submit()))
            # All to their end before the first is asked: an error must not leave tasks running behind a flow that is over.
            wait([future for _, future in started])
            return [work.by(future.result) for work, future in started]


def _noted(function: Callable[..., R], workers: Workers | None, name: str, group: Group | None) -> Callable[..., R]:
    """Return the stage as a task calls it: in a worker process where there are some, its end noted in the run's log."""

    def run(*args: Any) -> R:
        """Do the work and note its end."""
        started = time.monotonic()
        try:
            result, seconds = workers.submit(function, *args).result() if workers is not None else (function(*args), None)
        except BrokenProcessPool as error:
            raise lost_worker() from error
        if group is not None:
            group.finished(name, time.monotonic() - started if seconds is None else seconds)
        return result

    return run


def _key(function: Callable[..., Any]) -> str:
    return function.__name__.replace("_", "-")
