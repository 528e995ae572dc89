from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_contracts import SourceError
from flows.environment import QUIET, data_root, end_quickly, prepare_environment


def test_nobody_looks_outside_unless_the_user_says_so(monkeypatch):
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    prepare_environment()
    assert os.environ["DO_NOT_TRACK"] == "0"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert {name: os.environ[name] for name in QUIET if "ANALYTICS" in name} == {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


def test_data_lie_where_the_user_says_or_beside(monkeypatch):
    monkeypatch.delenv("MEDKD_DATA", raising=False)
    assert data_root() == Path("data")
    monkeypatch.setenv("MEDKD_DATA", "/elsewhere")
    assert data_root() == Path("/elsewhere")
    monkeypatch.setenv("MEDKD_DATA", "s3://bucket/data")
    with pytest.raises(SourceError, match=r"--set data\.path=s3://bucket/data/") as caught:
        data_root()
    assert caught.value.code == "DATA_ROOT"


def test_a_process_ends_without_a_search_for_garbage(monkeypatch):
    asked = []
    monkeypatch.setattr("atexit.register", asked.append)
    end_quickly()
    assert [one.__name__ for one in asked] == ["freeze"]


def test_the_command_line_listens_to_ctrl_c_before_it_imports_anything_large():
    code = "import sys, flows.cli; print(sorted({'pydantic', 'typer', 'torch', 'prefect', 'data_contracts'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "[]\n"
