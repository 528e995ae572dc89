"""A Prefect server of its own, its worker, and the command line that talks to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import flows

ROOT = Path(flows.__file__).parents[1]
PREFECT = Path(sys.executable).with_name("prefect")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """A Prefect server of its own, and the command line that talks to it."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home, port = home, free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        self.environment = {
            **os.environ,
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_LOGGING_LEVEL": "INFO",
            "PYTHONPATH": str(ROOT),
            "MEDKD_ENGINE": "prefect",  # tests of commands leave it out otherwise
            "MEDKD_WORKERS": "0",  # what worker processes do is tested elsewhere, and each takes seconds to start
            **environment,
        }
        self.processes: list[subprocess.Popen] = []
        self.port = port
        self.start_server()

    def start_server(self):
        """Start the server, and wait until it answers."""
        self.server = self.start("server", "start", "--host", "127.0.0.1", "--port", str(self.port), without=("PREFECT_API_URL",))
        self.wait_for(lambda: self.get("/health") is True, 240)

    def kill_server(self):
        """Lose the server, as it is."""
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()
        self.processes.remove(self.server)

    def start(self, *arguments, without=()):
        environment = {key: value for key, value in self.environment.items() if key not in without}
        log = (self.home / f"{arguments[0]}.log").open("a")
        self.processes.append(
            subprocess.Popen([PREFECT, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        )
        log.close()
        return self.processes[-1]

    def prefect(self, *arguments):
        done = subprocess.run([PREFECT, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def post(self, path, payload):
        request = urllib.request.Request(self.url + path, json.dumps(payload).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def wait_for(self, condition, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.5)
        logs = "\n".join(path.read_text()[-3000:] for path in self.home.glob("*.log"))
        raise AssertionError(f"not within {seconds} s\n{logs}")

    def close(self):
        for process in reversed(self.processes):
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
