"""Printed commands work as they are printed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from flows.commands.hints import command_line


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Return a folder with an interpreter and an mlflow of its own, which is the one that runs."""
    folder = tmp_path / "an environment" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "mlflow"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return folder


def test_a_program_of_an_environment_that_is_not_activated_is_named_by_its_path(environment, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = command_line("mlflow", "ui", "--backend-store-uri", "sqlite:////a b/mlflow.db")
    assert shlex.split(line) == [str(environment / "mlflow"), "ui", "--backend-store-uri", "sqlite:////a b/mlflow.db"]


def test_in_an_activated_environment_the_name_is_enough(environment, monkeypatch):
    monkeypatch.setenv("PATH", str(environment))
    assert command_line("mlflow", "ui") == "mlflow ui"


def test_another_program_of_the_same_name_is_not_meant(environment, monkeypatch, tmp_path):
    (tmp_path / "mlflow").write_text("#!/bin/sh\n")
    (tmp_path / "mlflow").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shlex.split(command_line("mlflow"))[0] == str(environment / "mlflow")


def test_without_a_program_of_its_own_the_interpreter_runs_it(environment, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = command_line("medkd", "replay", Path("x"))
    assert shlex.split(line) == [str(environment / "python"), "-m", "flows.cli", "replay", "x"]
