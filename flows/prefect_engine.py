"""The embedded Prefect engine. Prefect only decorates: ``task.fn.__wrapped__`` is the stage, results are the stage's own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from flows.engine import PlainEngine

R = TypeVar("R")


class PrefectEngine(PlainEngine):
    """Flows and tasks are recorded by Prefect; a task hands its work to the pool and waits.

    Prefect's own result cache is off: it trusts a hit blindly, whereas a stage verifies every byte that it remembers.
    """

    name = "prefect"

    def __init__(self, pool: ProcessPoolExecutor | None, *, progress: bool = False) -> None:
        super().__init__(pool, progress=progress)

    def run_flow(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Run a function as a (sub)flow."""
        decorated = flow(function, name=_key(function), validate_parameters=False, task_runner=ThreadPoolTaskRunner(max_workers=4))
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


def _in_pool(function: Callable[..., R], pool: ProcessPoolExecutor | None) -> Callable[..., R]:
    if pool is None:
        return function

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> R:
        return pool.submit(function, *args, **kwargs).result()

    return run


def _key(function: Callable[..., Any]) -> str:
    return function.__name__.replace("_", "-")
