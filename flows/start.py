"""Put an engine in charge: the embedded Prefect, or none."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_contracts import MissingDependencyError
from data_contracts.private import privately
from flows.confidential_call import named
from flows.engine import CURRENT, Engine, PlainEngine
from flows.environment import has_own_home
from flows.prefect_database import prepare_prefect
from flows.run_log import RunLog
from flows.stopping import ended_on_interrupt
from flows.task_runners import Runner, RunnerChoice, choose_runner
from flows.workers import Workers
from medkd.storage.objects import store_uri
from medkd.storage.remote import Remote
from medkd.storage.run_lock import alone_in

#: Set by the command line: a line for every call, and whether standard output is read by a machine.
VERBOSE = "MEDKD_VERBOSE"


API_URL = "PREFECT_API_URL"
#: The task runner of Prefect, where a command names none.
TASK_RUNNER = "MEDKD_TASK_RUNNER"
MACHINE_OUTPUT = "MEDKD_MACHINE_OUTPUT"


@contextmanager
def start_engine(
    name: str, root: Path, *, workers: int | None = None, progress: bool = False, task_runner: str | None = None
) -> Iterator[Engine]:
    """Put an engine in charge for a while. Whatever is made meanwhile, databases and logs of libraries included, is its owner's only.

    Args:
        name: ``prefect`` or ``none``.
        root: folder of the run; its log and an embedded Prefect live there.
        workers: worker processes; by default one per core, at most two (``MEDKD_WORKERS`` overrides); 0 works in this process.
        progress: say how far it is.
        task_runner: of Prefect: ``threads`` (default), ``processes``, ``dask``, or the address of a Dask scheduler (``MEDKD_TASK_RUNNER``).

    Raises:
        OutputError: ``RUN_BUSY`` when another process works in the folder.
        StoreError: ``STORE_UNREACHABLE``, ``STORE_DENIED`` of the store that ``MEDKD_STORE`` names.
        MissingDependencyError: ``WORKERS_INVALID``; ``TASK_RUNNER`` or ``DASK_MISSING`` as :func:`flows.task_runners.choose_runner`.
    """
    runner = choose_runner(task_runner or os.environ.get(TASK_RUNNER), max(1, workers or worker_count()))
    if (uri := store_uri()) is not None:
        Remote(uri).require()  # a store that is down is said before any work is done
    # Two at once would write over each other's stages, and race as they lay out the tables of one database.
    with privately(), alone_in(root):
        yield from _started(name, root, workers, progress, runner)


def _started(name: str, root: Path, workers: int | None, progress: bool, runner: RunnerChoice) -> Iterator[Engine]:
    count = worker_count() if workers is None else workers
    if runner.kind is not Runner.threads:
        count = 0  # the task runner has processes of its own
    verbose, machine = (os.environ.get(variable) == "1" for variable in (VERBOSE, MACHINE_OUTPUT))
    log = RunLog(root, enabled=progress, verbose=verbose, machine_output=machine)
    pool = Workers(count) if count > 0 else None
    engine: Engine | None = None
    before = os.environ.get(API_URL)
    try:
        with ended_on_interrupt(lambda: _end_processes(pool)):
            engine = _engine(name, root, pool, log, runner)
            token = CURRENT.set(engine)
            try:
                yield engine
            finally:
                CURRENT.reset(token)
                if isinstance(engine, PlainEngine):
                    engine.close()
                if before is None:
                    os.environ.pop(API_URL, None)
    except BaseException as error:
        log.say(f"ended by {named(error)}", minor=True)
        raise
    finally:
        if pool is not None:
            pool.close()
        log.close()


def worker_count() -> int:
    """Return how many worker processes are wanted where a run decides nothing else.

    Raises:
        MissingDependencyError: ``WORKERS_INVALID`` when ``MEDKD_WORKERS`` is no number from 0 to 1024.
    """
    wanted = os.environ.get("MEDKD_WORKERS")
    if wanted is None:
        return min(2, os.cpu_count() or 1)
    if not (wanted.isascii() and wanted.isdecimal() and int(wanted[:9]) <= 1024):
        raise MissingDependencyError(
            "WORKERS_INVALID", f"expected a number of processes from 0 to 1024 in MEDKD_WORKERS, got {wanted[:40]!r}"
        )
    return int(wanted)


def _end_processes(pool: Workers | None) -> None:
    if pool is not None:
        pool.end()
    for process in multiprocessing.active_children():  # those of a task runner
        process.kill()


def _engine(name: str, root: Path, workers: Workers | None, log: RunLog, runner: RunnerChoice) -> PlainEngine:
    if name != "prefect":
        return PlainEngine(workers, log)
    if importlib.util.find_spec("prefect") is None:
        raise MissingDependencyError("PREFECT_MISSING", f"expected Prefect for --engine {name}, it is not installed; choose --engine none")
    home = prepare_prefect(root / "prefect")
    server = None
    if not _names_a_server():
        from flows.prefect_server import EmbeddedServer

        # It takes seconds to start: begun here, it is there when the first flow asks for it. Named before Prefect is imported, which reads its
        # settings once: threads of its own, that hand on what worker processes say, see no settings that are changed later.
        server = EmbeddedServer(home)
        os.environ[API_URL] = server.url
    from flows.prefect_engine import PrefectEngine

    return PrefectEngine(workers, log, server=server, runner=runner)


def _names_a_server() -> bool:
    """Say whether the user's environment, or the profile of the user's own Prefect, names a server."""
    if API_URL in os.environ:
        return bool(os.environ[API_URL])
    if "prefect" not in sys.modules and has_own_home():
        return False  # a fresh home has no profiles
    from prefect.settings import get_current_settings

    return bool(get_current_settings().api.url)
