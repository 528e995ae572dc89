"""The pages of a run, Prefect's and MLflow's, served on this machine for as long as somebody looks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from data_contracts import MissingDependencyError

#: Seconds that a server may take to answer.
START_S = 120.0


def serve_pages(run: Path, say: Callable[[str], None], wait: Callable[[], None] | None = None) -> None:
    """Serve until interrupted.

    Args:
        run: folder of a run.
        say: is told where the pages are.
        wait: what is waited for; by default for ever, or until a server ends.

    Raises:
        MissingDependencyError: ``PAGES_NOT_SERVED``.
    """
    servers = [_mlflow(run)] + ([_prefect(run)] if (run / "prefect").is_dir() else [])
    processes = [process for process, _ in servers]
    try:
        for process, url in servers:
            _await(process, url)
        say(f"MLflow   {servers[0][1]}/#/experiments?workflowType=machine_learning")
        if len(servers) > 1:
            say(f"Prefect  {servers[1][1]}/runs")
        say("Ctrl-C ends both")
        (wait or (lambda: [process.wait() for process in processes] and None))()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _mlflow(run: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{run / 'mlflow.db'}"]
    return _start(command, {}), f"http://127.0.0.1:{port}"


def _prefect(run: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = _free_port()
    own = {"PREFECT_HOME": str(run / "prefect"), "PREFECT_UI_ENABLED": "true", "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return _start(command, own), f"http://127.0.0.1:{port}"


def _start(command: list[str], own: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"} | own
    # A session of its own: Ctrl-C is ours, and we end what we started.
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise MissingDependencyError(
        "PAGES_NOT_SERVED", f"expected pages at {url} within {START_S:.0f} s, the server did not answer; try again"
    )


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
