"""``medkd server`` is the package that stands alone, under another name: the same commands, nothing heavy before one is called."""

from __future__ import annotations

import subprocess
import sys

import typer

from flows.commands import app
from mlflow_server.cli import app as server_app


def test_its_commands_are_those_of_the_package():
    ours, alone = (typer.main.get_command(one).commands for one in (app, server_app))
    assert list(ours["server"].commands) == list(alone)
    assert {"serve", "preflight", "backup", "restore", "drill", "upgrade"} == set(alone)


def test_it_is_listed_without_what_its_commands_need():
    code = "import sys, flows.commands; print(sorted({'mlflow', 'sqlalchemy', 'alembic', 'flask', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_bad_input_is_one_sentence_with_a_code_and_status_2(tmp_path):
    command = [sys.executable, "-m", "flows.cli", "server", "serve", "--folder", str(tmp_path / "own"), "--listen", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ADDRESS_MALFORMED: expected HOST:PORT to listen on, got nowhere; for example 127.0.0.1:5000\n"
    assert not (tmp_path / "own").exists()
