"""Where task runs take place: Prefect's task runners, chosen by one word."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from data_contracts import MissingDependencyError

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

    from flows.workers import Workers

#: Task runs that wait in threads for a worker process of the run: more than there are processes, so that none waits for the next call.
THREADS = 4


class Runner(StrEnum):
    """Prefect's task runners that can be chosen."""

    threads = "threads"
    processes = "processes"
    dask = "dask"


@dataclass(frozen=True)
class RunnerChoice:
    """Which task runner, and how wide.

    Attributes:
        kind: ``threads`` (each waits for a worker process of the run), ``processes`` (``ProcessPoolTaskRunner``) or ``dask``.
        count: processes of a pool, workers of an embedded cluster; 0 for threads, which go by the run's own worker processes.
        address: of a Dask scheduler; None starts a cluster on this machine for the run.
    """

    kind: Runner = Runner.threads
    count: int = 0
    address: str | None = None


def choose_runner(wanted: str | None, count: int) -> RunnerChoice:
    """Return the choice of a command line: the name of a runner, or the address of a Dask scheduler.

    Args:
        wanted: None means threads.
        count: how many processes or workers; at least one is started.

    Raises:
        MissingDependencyError: ``TASK_RUNNER`` for anything else; ``DASK_MISSING`` where prefect-dask is not installed.
    """
    if wanted is None or wanted == Runner.threads:
        return RunnerChoice()
    if wanted == Runner.processes:
        return RunnerChoice(Runner.processes, max(1, count))
    if wanted == Runner.dask or wanted.startswith(("tcp://", "tls://", "ws://")):
        _require_dask()
        return RunnerChoice(Runner.dask, max(1, count), None if wanted == Runner.dask else wanted)
    names = ", ".join(Runner)
    raise MissingDependencyError(
        "TASK_RUNNER", f"expected one of {names}, or the address of a Dask scheduler such as tcp://HOST:8786, got {wanted[:80]!r}"
    )


def make_runner(choice: RunnerChoice, workers: Workers | None) -> TaskRunner[Any]:
    """Return a task runner of Prefect that was not started yet.

    Args:
        choice: which.
        workers: processes that threads hand their work to; without them one thread computes: stages seed torch's one global generator.
    """
    from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

    if choice.kind is Runner.processes:
        return ProcessPoolTaskRunner(max_workers=choice.count, initializer=begin_alone, initargs=(choice.count,))
    if choice.kind is Runner.dask:
        return _dask(choice)
    return ThreadPoolTaskRunner(max_workers=1 if workers is None else THREADS)


def _dask(choice: RunnerChoice) -> TaskRunner[Any]:
    from prefect_dask.task_runners import DaskTaskRunner

    if choice.address is not None:
        return DaskTaskRunner(address=choice.address)
    # One thread a worker: stages seed torch's one global generator. No page that nobody asked for; no memory limit but the machine's.
    cluster = {"n_workers": choice.count, "threads_per_worker": 1, "dashboard_address": None, "memory_limit": None, "silence_logs": 50}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return DaskTaskRunner(cluster_kwargs=cluster)


def begin_alone(count: int) -> None:
    """Make a process of Prefect's pool a worker as those of a run are: quiet, private, one thread, ended with its starter."""
    from flows.workers import begin_process

    begin_process(count)


def _require_dask() -> None:
    try:
        import prefect_dask  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingDependencyError(
            "DASK_MISSING", 'expected prefect-dask for this task runner, it is not installed; pip install -e ".[dask]"'
        ) from error
