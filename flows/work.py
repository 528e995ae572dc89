"""The function of a task, done wherever there is room: in a worker process of the run where it has some, else here."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from data_contracts import TrainingSpec
from flows.engine import current_engine, lost_worker
from flows.gpu_limit import gpu_of_server
from medkd.storage.objects import store_uri
from medkd.storage.shared_results import publish_references
from medkd.storage.workspace import WORK, Workspace

P = ParamSpec("P")
R = TypeVar("R")


class Work(Generic[P, R]):
    """A function that computes in a worker process of the engine in charge, and says in the log of its task run that it is over.

    Args:
        function: what is called; ``__wrapped__``.
        said: what is said of its result beside the time.
        trains: whether it needs a GPU for long, where there are some.
    """

    def __init__(self, function: Callable[P, R], said: Callable[[R], str] | None = None, *, trains: bool = False) -> None:
        functools.update_wrapper(self, function)
        self._function, self._said, self._trains = function, said, trains

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it where there is room."""
        started = time.monotonic()
        call = functools.partial(self._function, *map(_here, args), **{name: _here(value) for name, value in kwargs.items()})
        with gpu_of_server(processes_of(call)) if self._trains else nullcontext():
            result = self._done(call)
        _leave(result, (*call.args, *call.keywords.values()))
        more = f": {self._said(result)}" if self._said is not None else ""
        log_to_run(f"done in {time.monotonic() - started:.1f} s{more}")
        return result

    def _done(self, call: Callable[[], R]) -> R:
        workers = current_engine().workers
        if workers is None:
            return call()
        try:
            return workers.submit(call).result()
        except BrokenProcessPool as error:
            raise lost_worker() from error


def processes_of(call: functools.partial[Any]) -> int:
    """Return how many processes a call trains in: as many as its specification says."""
    given = (*call.args, *call.keywords.values())
    return max((one.fit.processes for one in given if isinstance(one, TrainingSpec)), default=1)


class Sealed:
    """An argument that nobody looks into on its way: Prefect looks for futures through everything it is given, however deep, and Dask too.

    Prefect's own ``quote`` is a tuple, which Dask takes apart.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


def unsealed(value: Any) -> Any:
    """Return what was sealed."""
    return value.value if isinstance(value, Sealed) else value


def _here(value: Any) -> Any:
    """Return an argument unsealed; a run's workspace in the folder of this machine, where it has one of its own (``MEDKD_WORK``)."""
    value, work = unsealed(value), os.environ.get(WORK)
    return value.on_this_machine(Path(work), store_uri()) if work and isinstance(value, Workspace) else value


def _leave(result: Any, call: Iterable[Any]) -> None:
    """Leave what a result refers to for other machines, where this one has a folder of its own."""
    if os.environ.get(WORK):
        for workspace in (one for one in call if isinstance(one, Workspace)):
            publish_references(workspace, result)


def log_to_run(text: str, *values: Any) -> None:
    """Write a line to the log of the flow or task run that this is a part of; nothing outside of one."""
    from prefect import get_run_logger
    from prefect.exceptions import MissingContextError

    try:
        logger = get_run_logger()
    except MissingContextError:
        return
    logger.info(text, *values)
