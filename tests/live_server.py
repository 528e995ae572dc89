"""A real server, started as an administrator starts it, and what its users ask of it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
ALICE, BOB = ("alice", "alices-password"), ("bob", "bobs-long-password")
API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def free_port():
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def command_of(*arguments):
    return [sys.executable, "-m", "mlflow_server", *map(str, arguments)]


def environment(**changes):
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))), **changes}


def run_server_command(*arguments, **changes):
    """Run a command of the server to its end."""
    return subprocess.run(command_of(*arguments), env=environment(**changes), capture_output=True, text=True, timeout=120)


class Live(NamedTuple):
    """A running server: its folder, port, process, and the line that it said."""

    folder: Path
    port: int
    process: subprocess.Popen
    said: str

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin(self):
        return "admin", (self.folder / "secrets" / "admin-password").read_text().strip()

    def call(self, method, path, body=None, *, user=None, headers=None):
        """Return status and body; the path is sent as it stands: clients would tidy it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = dict(headers or {})
        if user:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(user).encode()).decode()
        if isinstance(body, dict):
            body, sent["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        with contextlib.closing(connection):
            return answer.status, answer.read()

    def ask(self, method, path, body=None, *, user):
        status, answer = self.call(method, path, body, user=user)
        assert status == 200, (path, status, answer)
        return json.loads(answer) if answer else {}


class Registered(NamedTuple):
    """What Alice has registered: experiment, run, the path of the run's artefacts."""

    experiment: str
    run: str
    path: str


@contextlib.contextmanager
def live_server(folder, *options, **changes):
    """Start a server by its command, yield it once it is ready, and end it."""
    port = free_port()
    process = subprocess.Popen(
        command_of("serve", "--folder", folder, "--listen", f"127.0.0.1:{port}", *options),
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline()
        if not said:
            log = folder / "server.log"
            pytest.fail(f"{process.stderr.read()} {log.read_text()[-2000:] if log.exists() else ''}")
        yield Live(folder, port, process, said)
    finally:
        stopped = process.poll() is None
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=20)
        process.stdout.close()
        process.stderr.close()
    assert status == 0 or not stopped, "a service manager's signal is no failure"


def register_as_alice(live):
    """Make two users, and two model versions of one of them: of a run's artefacts, and of a logged model."""
    for name, password in (ALICE, BOB):
        live.ask("POST", "/api/2.0/mlflow/users/create", {"username": name, "password": password}, user=live.admin)
    experiment = live.ask("POST", f"{API}/experiments/create", {"name": "hearts"}, user=ALICE)["experiment_id"]
    run = live.ask("POST", f"{API}/runs/create", {"experiment_id": experiment}, user=ALICE)["run"]["info"]
    path = run["artifact_uri"].removeprefix("mlflow-artifacts:/").strip("/")
    for name, content in (("model/weights.bin", b"weights"), ("model/cards/card.json", b"{}"), ("note.txt", b"a note")):
        live.ask("PUT", f"{ARTIFACTS}/{path}/{name}", content, user=ALICE)
    live.ask("POST", f"{API}/registered-models/create", {"name": "heart-kd"}, user=ALICE)
    version = {"name": "heart-kd", "source": f"mlflow-artifacts:/{path}/model", "run_id": run["run_id"]}
    live.ask("POST", f"{API}/model-versions/create", version | {"tags": [{"key": "medkd.role", "value": "student"}]}, user=ALICE)
    # As medkd registers: a version of a logged model, whose artefacts lie elsewhere than its source says.
    logged = {"experiment_id": experiment, "name": "heart-kd"}
    model = live.ask("POST", f"{API}/logged-models", logged, user=ALICE)["model"]["info"]
    place = model["artifact_uri"].removeprefix("mlflow-artifacts:/").strip("/")
    live.ask("PUT", f"{ARTIFACTS}/{place}/MLmodel", b"flavors: {}", user=ALICE)
    version = {"name": "heart-kd", "source": f"models:/{model['model_id']}", "model_id": model["model_id"]}
    live.ask("POST", f"{API}/model-versions/create", version, user=ALICE)
    return Registered(experiment, run["run_id"], path)
