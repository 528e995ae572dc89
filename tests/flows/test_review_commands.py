from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from review_clients import write_studies

ROOT = Path(__file__).parents[2]


@pytest.fixture
def said(capsys, monkeypatch):
    """Return a caller of the command line within this process: status, what it said, and the sentence of an error."""
    import io

    from flows.cli import main

    def call(*arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.setattr(sys, "argv", ["medkd", "review", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        found = capsys.readouterr()
        return caught.value.code or 0, found.out, found.err

    return call


def test_accounts_are_added_listed_and_removed(said, tmp_path):
    data = ("--data", tmp_path / "data")
    status, out, _ = said("account", "add", "anna", *data, "--json", stdin="correct horse\n")
    assert status == 0
    key = json.loads(out)["reviewer_key"]
    assert "correct horse" not in out
    assert key in said("account", "list", *data)[1]
    assert json.loads(said("account", "list", *data, "--json")[1])["accounts"][0]["name"] == "anna"
    for arguments, code in (
        (("add", "anna"), "ACCOUNT_EXISTS"),
        (("add", "ben", "--role", "x"), "ACCOUNT_ROLE"),
        (("remove", "eve"), "ACCOUNT_UNKNOWN"),
    ):
        status, _, error = said("account", *arguments, *data, stdin="correct horse\n")
        assert (status, error.split(":")[0]) == (2, code)
    assert said("account", "add", "ben", *data, stdin="short\n")[2].startswith("ACCOUNT_PASSWORD")
    assert said("account", "add", "proxy-user", "--no-password", *data)[0] == 0
    assert "removed" in said("account", "remove", "anna", *data)[1]


def test_control_reports_are_made(said, tmp_path):
    reports = write_studies(tmp_path / "reports", 2, lesions=2)
    status, out, _ = said("controls", reports, "--out", tmp_path / "data" / "controls", "--json")
    assert status == 0
    assert len(json.loads(out)["made"]) == 6
    assert said("controls", tmp_path / "nowhere", "--out", tmp_path / "x")[2].startswith("NO_REPORT")
    assert said("controls", reports, "--out", reports / "controls")[0] == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--host", "0.0.0.0"), "BIND_PUBLIC"),
        (("--user-header", "X-User"), "USER_HEADER"),
        (("--behind-proxy", "proxy"), "PROXY_ADDRESS"),
        (("--tls", "nowhere"), "TLS_FILES"),
    ],
)
def test_what_would_not_be_served_well_is_refused(said, tmp_path, options, code):
    reports = write_studies(tmp_path / "reports", 1)
    status, _, error = said("serve", reports, "--data", tmp_path / "data", *options)
    assert (status, error.split(":")[0]) == (2, code)
    assert said("serve", tmp_path / "nowhere", "--data", tmp_path / "data")[2].startswith("REPORTS_MISSING")


def test_a_server_says_where_it_is_and_ends_when_it_is_told_to(tmp_path):
    reports = write_studies(tmp_path / "reports", 1)
    command = [sys.executable, "-m", "flows.cli", "review", "serve", reports, "--data", tmp_path / "data", "--port", "0"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert "there is no account yet" in process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
        assert httpx.get(address + "health").text == "ok\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) is not None
