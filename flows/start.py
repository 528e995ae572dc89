"""Put an engine in charge: the embedded Prefect, or none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_contracts import MissingDependencyError
from data_contracts.private import privately
from flows.confidential_call import named
from flows.engine import CURRENT, Engine, PlainEngine
from flows.environment import prepare_prefect
from flows.run_log import RunLog
from flows.stopping import ended_on_interrupt
from flows.workers import Workers
from medkd.storage.run_lock import alone_in

#: Set by the command line: a line for every call, and whether standard output is read by a machine.
VERBOSE = "MEDKD_VERBOSE"


MACHINE_OUTPUT = "MEDKD_MACHINE_OUTPUT"


@contextmanager
def start_engine(name: str, root: Path, *, workers: int | None = None, progress: bool = False) -> Iterator[Engine]:
    """Put an engine in charge for a while. Whatever is made meanwhile, databases and logs of libraries included, is its owner's only.

    Args:
        name: ``prefect`` or ``none``.
        root: folder of the run; its log and an embedded Prefect live there.
        workers: worker processes; by default one per core, at most two (``MEDKD_WORKERS`` overrides); 0 works in this process.
        progress: say how far it is.

    Raises:
        OutputError: ``RUN_BUSY`` when another process works in the folder.
        MissingDependencyError: ``WORKERS_INVALID``.
    """
    # Two at once would write over each other's stages, and race as they lay out the tables of one database.
    with privately(), alone_in(root):
        yield from _started(name, root, workers, progress)


def _started(name: str, root: Path, workers: int | None, progress: bool) -> Iterator[Engine]:
    count = _worker_count() if workers is None else workers
    verbose, machine = (os.environ.get(variable) == "1" for variable in (VERBOSE, MACHINE_OUTPUT))
    log = RunLog(root, enabled=progress, verbose=verbose, machine_output=machine)
    pool = Workers(count) if count > 0 else None
    engine: Engine | None = None
    try:
        with ended_on_interrupt(lambda: pool.end() if pool is not None else None):
            engine = _engine(name, root, pool, log)
            token = CURRENT.set(engine)
            try:
                yield engine
            finally:
                CURRENT.reset(token)
                if isinstance(engine, PlainEngine):
                    engine.close()
    except BaseException as error:
        log.say(f"ended by {named(error)}", minor=True)
        raise
    finally:
        if pool is not None:
            pool.close()
        log.close()


def _worker_count() -> int:
    """Return how many worker processes are wanted.

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


def _engine(name: str, root: Path, workers: Workers | None, log: RunLog) -> PlainEngine:
    if name != "prefect":
        return PlainEngine(workers, log)
    # Before the import: Prefect reads its settings, home among them, once.
    prepare_prefect(root / "prefect")
    from flows.prefect_engine import PrefectEngine

    return PrefectEngine(workers, log)
