"""A Dask scheduler and workers, each a process that nobody starts again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest
from live_server import ROOT, free_port


@contextlib.contextmanager
def dask_cluster(folder, *workers, **environment):
    """Yield the address of a scheduler.

    Args:
        folder: of logs and of what Dask itself writes.
        workers: what the environment of each worker has of its own.
        environment: of all.
    """
    pytest.importorskip("prefect_dask")
    address = f"tcp://127.0.0.1:{free_port()}"
    own = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    begin = [sys.executable, "-m", "dask"]
    scheduler = [*begin, "scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"]
    worker = [*begin, "worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory"]
    with (folder / "dask.log").open("a") as log, contextlib.ExitStack() as stack:
        commands = [(scheduler, {}), *(([*worker, str(folder / f"dask{number}")], given) for number, given in enumerate(workers))]
        for command, special in commands:
            process = subprocess.Popen(command, cwd=folder, env={**own, **special}, stdout=log, stderr=subprocess.STDOUT)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield address


@contextlib.contextmanager
def watched_workers(address, count):
    """Yield a function that returns the processes of the workers that compute now."""
    from distributed import Client

    with Client(address, timeout=120) as client:
        client.wait_for_workers(count, timeout=240)
        processes = client.run(os.getpid)
        yield lambda: [processes[worker] for worker, keys in client.processing().items() if keys]
