"""A Dask scheduler and workers, each a process that nobody starts again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest
from live_server import ROOT, free_port


class DaskCluster:
    """A scheduler, and workers as they are started.

    Attributes:
        address: of the scheduler.
    """

    def __init__(self, folder, stack, log, environment):
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self._folder, self._stack, self._log, self._count = folder, stack, log, 0
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
        self._start("scheduler", "--host", "127.0.0.1", "--port", self.address.rpartition(":")[2])

    def start_worker(self, **environment):
        """Start a worker of one thread and return its process."""
        self._count += 1
        place = str(self._folder / f"dask{self._count}")
        return self._start("worker", self.address, "--no-nanny", "--nthreads", "1", "--local-directory", place, **environment)

    def _start(self, *arguments, **environment):
        command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
        own = {**self._environment, **environment}
        process = subprocess.Popen(command, cwd=self._folder, env=own, stdout=self._log, stderr=subprocess.STDOUT)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


@contextlib.contextmanager
def dask_cluster(folder, *workers, **environment):
    """Yield a cluster.

    Args:
        folder: of ``dask.log`` and of what Dask itself writes.
        workers: what the environment of each worker has of its own.
        environment: of all.
    """
    pytest.importorskip("prefect_dask")
    with (folder / "dask.log").open("a") as log, contextlib.ExitStack() as stack:
        cluster = DaskCluster(folder, stack, log, environment)
        for own in workers:
            cluster.start_worker(**own)
        yield cluster
