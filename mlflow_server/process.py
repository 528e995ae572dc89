"""The processes of one server: started in a session of their own, ready when they answer, ended together."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO

from mlflow_server.environment import server_environment
from mlflow_server.errors import ServerError
from mlflow_server.private import FILE_MODE, OTHERS
from mlflow_server.settings import ServerSettings, write_auth_config

APP_NAME = "medkd-secured"
#: Seconds that a server may take to answer; laying out a database on a slow disk takes most of it.
START_S = 180.0
#: Seconds that processes get to end in peace: well below the two after which the command line of medkd ends this process whatever it waits for.
END_S = 1.2


@contextlib.contextmanager
def folder_of_its_own(folder: Path) -> Iterator[None]:
    """Hold a server's folder: one server at a time, and no restore or upgrade beside it. Ends with the process, however that ends.

    Raises:
        ServerError: ``SERVER_RUNNING`` when another process holds it.
    """
    with open(os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT, FILE_MODE), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServerError(
                "SERVER_RUNNING", f"expected no server on {folder}, one is running or being upgraded; end it first"
            ) from error
        yield


class ServerProcess:
    """``mlflow server`` with its workers.

    Args:
        settings: checked settings; folder and secrets are there.
        environment: instead of the one that the settings give.
    """

    def __init__(self, settings: ServerSettings, environment: dict[str, str] | None = None) -> None:
        if not entry_points(group="mlflow.app", name=APP_NAME):
            raise ServerError(
                "APP_MISSING", f"expected MLflow to know the application {APP_NAME}, it does not; install medkd again (pip install -e .)"
            )
        self._settings = settings
        _require_free(settings)
        write_auth_config(settings)
        self._log_start = settings.log.stat().st_size if settings.log.exists() else 0
        with _append(settings.log) as log:
            self._process = subprocess.Popen(
                _command(settings),
                env=server_environment(settings) if environment is None else environment,
                cwd=settings.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A terminal sends Ctrl-C to every process of its session: this one ends the others, in order.
                start_new_session=True,
                umask=OTHERS,
            )

    def wait_ready(self) -> None:
        """Return once the server answers.

        Raises:
            ServerError: ``SERVER_ENDED`` or ``SERVER_NOT_READY`` with the last line of its log.
        """
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            status = self._process.poll()
            if status is not None:
                raise ServerError(
                    "SERVER_ENDED",
                    f"expected a server at {self._settings.url}, it ended with status {status} ({self._last_line()}); read {self._settings.log}",
                )
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(f"{self._settings.url}/health", timeout=5) as answer,
            ):
                if answer.status == 200:
                    return
            time.sleep(0.1)
        raise ServerError(
            "SERVER_NOT_READY",
            f"expected a server at {self._settings.url} within {START_S:.0f} s, it does not answer ({self._last_line()}); read {self._settings.log}",
        )

    def wait(self) -> int:
        """Return the status with which the server ends."""
        return self._process.wait()

    def stop(self) -> None:
        """End all its processes: in peace, and those that are still there after :data:`END_S` at once."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + END_S
        while time.monotonic() < deadline and self._alive():
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _alive(self) -> bool:
        self._process.poll()  # a child that ended and was not waited for still counts as one of its group
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _last_line(self) -> str:
        with self._settings.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")


@contextlib.contextmanager
def running(settings: ServerSettings, environment: dict[str, str] | None = None) -> Iterator[ServerProcess]:
    """Run a server that answers, and end it with the block."""
    server = ServerProcess(settings, environment)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


def _require_free(settings: ServerSettings) -> None:
    """Refuse a port on which another server answers: it would be taken for this one."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: one that has just ended does not count
        try:
            asked.bind((settings.host, settings.port))
        except OSError as error:
            raise ServerError(
                "PORT_TAKEN", f"expected to listen on {settings.host}:{settings.port}, got {error.strerror}; name another with --listen"
            ) from error


def _append(path: Path) -> IO[bytes]:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE), "ab")


def _command(settings: ServerSettings) -> list[str]:
    options = {
        "--app-name": APP_NAME,
        "--artifacts-destination": settings.artifact_location,
        "--host": settings.host,
        "--port": str(settings.port),
        "--workers": str(settings.workers),
        "--allowed-hosts": ",".join(settings.host_headers),
    }
    given = [part for option in options.items() for part in option]
    return [sys.executable, "-m", "mlflow", "server", "--serve-artifacts", *given]
