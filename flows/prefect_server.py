"""The embedded Prefect server: a process of its own, out of reach of the terminal's Ctrl-C, that ends with the run it was started for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from data_contracts import MissingDependencyError

#: Seconds that a server may take to answer (laying out a database on a slow disk takes most of it).
START_S = 120.0
_SETTINGS = {
    "PREFECT_UI_ENABLED": "false",  # nobody looks at it while a run lasts; `prefect server start` on the run's home shows it later
    "PREFECT__SERVER_EPHEMERAL": "1",  # no schedules, no late runs: it serves one run
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_API_URL": "",
}


class EmbeddedServer:
    """A Prefect server on a free port of this machine's loopback.

    Args:
        home: its ``PREFECT_HOME``, where its database lies.
    """

    def __init__(self, home: Path) -> None:
        self.home, self._port = home, _free_port()
        environment = {**os.environ, **_SETTINGS, "PREFECT_HOME": str(home)}
        command = [sys.executable, "-m", "flows.prefect_server", str(self._port), str(os.getpid())]
        # A session of its own: the terminal sends Ctrl-C to every process of this one, and a client whose server is gone waits for minutes.
        self._process = subprocess.Popen(command, env=environment, start_new_session=True, stdin=subprocess.DEVNULL)

    @property
    def url(self) -> str:
        """Return the URL of its API."""
        return f"http://127.0.0.1:{self._port}/api"

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            MissingDependencyError: ``PREFECT_SERVER`` when it ends or does not answer in time.
        """
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise MissingDependencyError(
                    "PREFECT_SERVER",
                    f"expected an embedded Prefect server, it ended with status {self._process.returncode}; try --engine none",
                )
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.kill()
        raise MissingDependencyError(
            "PREFECT_SERVER", f"expected an embedded Prefect server within {START_S:.0f} s, it did not answer; try --engine none"
        )

    def stop(self) -> None:
        """End it in peace: what it was told is written."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _serve(port: int, parent: int) -> None:
    from flows.workers import end_with_parent

    threading.Thread(target=end_with_parent, args=(parent,), daemon=True).start()  # before the imports: they take seconds
    import uvicorn
    from prefect.server.api.server import create_app

    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
