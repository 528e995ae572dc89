"""The embedded Prefect engine. Prefect only decorates: ``task.fn.__wrapped__`` is the stage, results are the stage's own."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner

from flows.engine import PlainEngine
from flows.prefect_database import keep_database

R = TypeVar("R")


class PrefectEngine(PlainEngine):
    """Flows and tasks are recorded by Prefect; a task hands its work to the pool and waits.

    Prefect's own result cache is off: it trusts a hit blindly, whereas a stage verifies every byte that it remembers.
    """

    name = "prefect"

    def __init__(self, pool: ProcessPoolExecutor | None, *, progress: bool = False) -> None:
        super().__init__(pool, progress=progress)
        # The embedded server takes seconds to start: begun here, it is there when the first flow asks for it.
        self.lasting_server = bool(get_current_settings().api.url)
        self._starting = threading.Thread(target=_start_server, daemon=True)
        if not self.lasting_server:
            self._starting.start()

    def run_flow(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Run a function as a (sub)flow."""
        if self._starting.ident is not None:
            self._starting.join()  # two servers that start at once would fight for one database
        # A task waits in its thread for the pool; without a pool it works there, and stages seed torch's one global generator.
        runner = ThreadPoolTaskRunner(max_workers=1 if self.pool is None else 4)
        decorated = flow(function, name=_key(function), validate_parameters=False, task_runner=runner)
        # Heartbeats tell a lasting server of a lost process; ending their thread costs a second a flow. The embedded server
        # ends with this process, so nobody would listen.
        settings = {} if self.lasting_server else {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        with temporary_settings(settings):
            return decorated(*args, **kwargs)

    def run_all(self, function: Callable[..., R], calls: Sequence[tuple[Any, ...]], *, title: str) -> list[R]:
        """Submit every call as a task run."""
        decorated = task(_in_pool(function, self.pool), name=_key(function), cache_policy=NO_CACHE, persist_result=False)
        with self.bar(title, len(calls)) as bar:
            futures = [decorated.submit(*call) for call in calls]
            for future in futures:
                future.add_done_callback(lambda _: bar.update())
            wait(futures)
            return [future.result() for future in futures]


def _start_server() -> None:
    from prefect.server.api.server import SubprocessASGIServer

    SubprocessASGIServer().start()
    keep_database(get_current_settings().home)


def _in_pool(function: Callable[..., R], pool: ProcessPoolExecutor | None) -> Callable[..., R]:
    if pool is None:
        return function

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> R:
        return pool.submit(function, *args, **kwargs).result()

    return run


def _key(function: Callable[..., Any]) -> str:
    return function.__name__.replace("_", "-")
