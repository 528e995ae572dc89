from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data_contracts import NetworkSpec, Task

PICTURES = Task(kind="classification", classes=("benign", "malignant"), image_size=(16, 16), window=(0, 255))
#: Notes every address that any process of the run connects to or looks up; loaded by each interpreter as it starts.
HOOK = """
import os, socket
_log = os.environ.get("MEDKD_TEST_SOCKET_LOG")
if _log:
    def _note(kind, address):
        with open(_log, "a") as stream:
            stream.write(f"{kind} {address}\\n")
    _connect, _lookup = socket.socket.connect, socket.getaddrinfo
    def connect(self, address):
        if self.family != socket.AF_UNIX:
            _note("connect", address[0])
        return _connect(self, address)
    def getaddrinfo(host, *args, **kwargs):
        _note("lookup", host)
        return _lookup(host, *args, **kwargs)
    socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
"""


@dataclass(frozen=True)
class Demo:
    """A finished smoke demo: its project folder, the user's cache it began without, its run folder, its summary, and its sockets."""

    project: Path
    cache: Path
    folder: Path
    summary: dict[str, Any]
    sockets: tuple[str, ...]


def run_medkd(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=280,
    )


def call_medkd(*arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process, since a new one needs seconds to import: exit status, stdout, stderr."""
    from flows.cli import main

    said, faults = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(faults):
        patch.setattr(sys, "argv", ["medkd", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stopped:
            status = int(stopped.code or 0)
    return status, said.getvalue(), faults.getvalue()


@pytest.fixture
def here(monkeypatch, capsys):
    """Return a caller of the command line in this process (a new one needs seconds to import): exit status, stdout, stderr."""
    from flows.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["medkd", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.fixture(scope="session")
def medkd_here():
    """Return the same for fixtures that last longer than a test."""
    return call_medkd


@pytest.fixture(scope="session")
def medkd():
    return run_medkd


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Demo:
    """Run ``medkd demo --size smoke`` with the default engine, every process's sockets watched."""
    project = tmp_path_factory.mktemp("project")
    (project / "hook").mkdir()
    (project / "hook" / "sitecustomize.py").write_text(HOOK)
    log = project / "sockets.log"
    root = Path(__file__).parents[2]
    environment = {
        "PYTHONPATH": f"{project / 'hook'}{os.pathsep}{root}",
        "MEDKD_TEST_SOCKET_LOG": str(log),
        "XDG_CACHE_HOME": str(project / "cache"),
        "MEDKD_ENGINE": "",
    }
    done = run_medkd("demo", "--size", "smoke", "--json", cwd=project, **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = tuple(log.read_text().splitlines()) if log.is_file() else ()
    return Demo(project, project / "cache", project / "runs" / "demo", json.loads(done.stdout.splitlines()[-1]), lines)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    """Return the folder of a run whose registry holds a tiny classifier with the alias ``champion``."""
    from medkd.registry.publish import open_registry
    from medkd.storage.workspace import local_workspace
    from tests.registered import register_tiny

    folder = tmp_path_factory.mktemp("aliases") / "run"
    register_tiny(folder, PICTURES, NetworkSpec(builder="resnet", options={"channels": (2, 2, 2, 2)}))
    open_registry(local_workspace(folder)).set_alias("tiny-teacher", "champion", 1)
    return folder
