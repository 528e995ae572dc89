"""Preflight refuses each weak setting by its own code, in one sentence that says what to do; and a good server by none."""

from __future__ import annotations

import dataclasses
import http.server
import json
import threading

import pytest
from live_server import run_server_command

from mlflow_server import preflight
from mlflow_server.database import TRACKING, USERS, head
from mlflow_server.errors import ServerError, WeakSettingsError
from mlflow_server.preflight import require_safe, weak_settings
from mlflow_server.running import weak_server
from mlflow_server.settings import prepare, read_settings, write_auth_config, write_settings


@pytest.fixture
def settings(tmp_path, monkeypatch):
    for name in ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    found = read_settings(tmp_path / "own")
    prepare(found)
    write_auth_config(found)
    write_settings(found)
    return found


def codes(settings):
    found = weak_settings(settings)
    for problem in found:
        assert problem.message.startswith("expected ")
        assert ", got " in problem.message or ", found " in problem.message or ", it " in problem.message
        assert "; " in problem.message
        assert "\n" not in problem.message
    return [problem.code for problem in found]


def lay_out(settings, *, tracking, users=""):
    """Make databases that say which schema they have."""
    import sqlite3

    for name, kind, revision in (("mlflow.db", TRACKING, tracking), ("auth.db", USERS, users)):
        if revision:
            with sqlite3.connect(settings.folder / name) as database:
                database.execute(f"CREATE TABLE {kind[1]} (version_num TEXT)")
                database.execute(f"INSERT INTO {kind[1]} VALUES ('{revision}')")
            database.close()
            (settings.folder / name).chmod(0o600)


def test_what_serve_would_make_is_safe(settings):
    assert weak_settings(settings) == ()
    lay_out(settings, tracking=head(TRACKING), users=head(USERS))
    require_safe(settings)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"default_permission": "READ"}, "DEFAULT_PERMISSION"),
        ({"host": "0.0.0.0"}, "LISTENS_WITHOUT_TLS"),
        ({"allowed_hosts": ("*",)}, "HOSTS_WILDCARD"),
        ({"allowed_hosts": ("*.hospital.example",)}, "HOSTS_WILDCARD"),
        ({"allowed_hosts": ()}, "HOSTS_WILDCARD"),
        ({"workers": 2}, "SQLITE_WORKERS"),
        ({"artifacts": "/var/www/models"}, "ARTIFACTS_IN_WEB_FOLDER"),
        ({"artifacts": "server.json/models"}, "ARTIFACTS_UNWRITABLE"),
        ({"artifacts": "gs://bucket"}, "ARTIFACTS_UNSUPPORTED"),
    ],
)
def test_weak_settings_are_refused(settings, change, code):
    assert codes(dataclasses.replace(settings, **change)) == [code]


def test_listening_openly_is_allowed_when_tls_is_said_to_be_in_front(settings):
    assert codes(dataclasses.replace(settings, host="0.0.0.0", tls_in_front=True)) == []


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true", "JOB_RUNNER_ON"),
        ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true", "PICKLE_ALLOWED"),
        ("MLFLOW_DISABLE_TELEMETRY", "false", "TELEMETRY_ON"),
        ("MLFLOW_BASIC_AUTH_FAIL_CLOSED", "false", "AUTH_FAILS_OPEN"),
        ("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "true", "HOSTS_UNCHECKED"),
        ("MLFLOW_ENABLE_AI_GATEWAY", "true", "GATEWAY_ON"),
        ("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "*", "ORIGINS_WILDCARD"),
    ],
)
def test_an_environment_that_weakens_is_refused(settings, monkeypatch, variable, value, code):
    monkeypatch.setenv(variable, value)
    assert codes(settings) == [code]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("admin-password", "password1234", "PASSWORD_DEFAULT"),
        ("admin-password", "admin", "PASSWORD_DEFAULT"),
        ("admin-password", "elevenchars", "PASSWORD_SHORT"),
        ("flask-secret", "x" * 31, "SECRET_SHORT"),
    ],
)
def test_weak_secrets_are_refused_and_not_shown(settings, name, content, code):
    (settings.folder / "secrets" / name).write_text(content)
    assert codes(settings) == [code]
    assert content not in weak_settings(settings)[0].message.replace(str(settings.folder), "").replace("admin-password", "")


@pytest.mark.parametrize("name", ["", "secrets/admin-password", "secrets/flask-secret", "basic_auth.ini", "mlflow.db"])
def test_what_others_can_read_is_refused(settings, name):
    lay_out(settings, tracking=head(TRACKING))
    (settings.folder / name).chmod(0o755)
    assert codes(settings) == ["FILE_OPEN_TO_OTHERS"]


def test_schemas_that_are_not_of_the_installed_mlflow_are_refused(settings):
    lay_out(settings, tracking="0584bdc529eb", users="8606fa83a998")
    assert codes(settings) == ["SCHEMA_OUTDATED", "SCHEMA_OUTDATED"]


def test_a_file_that_is_no_database_is_refused(settings):
    (settings.folder / "mlflow.db").write_bytes(b"not a database at all" * 100)
    (settings.folder / "mlflow.db").chmod(0o600)
    assert codes(settings) == ["DATABASE_UNREACHABLE"]


def test_old_versions_of_mlflow_are_refused(settings, monkeypatch):
    monkeypatch.setattr(preflight, "version", lambda _: "3.9.0")
    assert codes(settings) == ["MLFLOW_OUTDATED"]


def test_a_password_in_the_uri_of_a_database_is_refused_and_not_shown(settings, monkeypatch):
    monkeypatch.setattr(preflight, "missing_libraries", lambda _: iter(()))
    monkeypatch.setattr(preflight, "_schema", lambda _: iter(()))
    weak = dataclasses.replace(settings, database="postgresql://mlflow:topsecret@127.0.0.1/mlflow")
    assert codes(weak) == ["DATABASE_PASSWORD_SHOWN"]
    assert "topsecret" not in weak_settings(weak)[0].message


def test_all_problems_are_said_at_once(settings):
    with pytest.raises(WeakSettingsError) as refused:
        require_safe(dataclasses.replace(settings, host="0.0.0.0", workers=4))
    assert [problem.code for problem in refused.value.problems] == ["LISTENS_WITHOUT_TLS", "SQLITE_WORKERS"]


def test_the_command_ends_with_status_2_and_its_problems_as_json(settings):
    assert json.loads(run_server_command("preflight", "--folder", settings.folder, "--json").stdout) == {"problems": []}
    write_settings(dataclasses.replace(settings, workers=3))
    done = run_server_command("preflight", "--folder", settings.folder, "--json")
    assert done.returncode == 2
    assert [problem["code"] for problem in json.loads(done.stdout)["problems"]] == ["SQLITE_WORKERS"]
    assert done.stderr.startswith("SQLITE_WORKERS: expected one worker with SQLite, got 3")


@pytest.mark.parametrize("content", ["{", "[]", '{"port": "5000"}', '{"colour": 1}', '{"tls_in_front": 1}'])
def test_settings_that_are_none_are_refused_by_the_name_of_the_file(tmp_path, content):
    (tmp_path / "server.json").write_text(content)
    with pytest.raises(ServerError, match=r"server\.json") as refused:
        read_settings(tmp_path)
    assert refused.value.code == "SETTINGS_UNREADABLE"


def test_a_host_is_allowed_with_the_port_and_without(settings):
    found = dataclasses.replace(settings, allowed_hosts=("mlflow.hospital.example", "::1"), port=5001).host_headers
    assert found == ("mlflow.hospital.example", "mlflow.hospital.example:5001", "[::1]", "[::1]:5001")


class _Open(http.server.BaseHTTPRequestHandler):
    """A server that lets everybody in."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *arguments):
        pass


def test_a_running_server_that_lets_everybody_in_is_refused():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Open) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = weak_server(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert [problem.code for problem in found] == ["AUTH_OFF", "HOSTS_WILDCARD"]


@pytest.mark.parametrize(("url", "code"), [("http://127.0.0.1:9", "SERVER_UNREACHABLE"), ("127.0.0.1:5000", "URL_MALFORMED")])
def test_a_server_that_is_not_there_is_named(url, code):
    with pytest.raises(ServerError) as refused:
        weak_server(url)
    assert refused.value.code == code
