"""A real server over HTTP: what it refuses, what it keeps apart, how it is backed up, how it ends. The last test ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from live_server import ALICE, API, ARTIFACTS, BOB, run_server_command

from mlflow_server import artifacts
from mlflow_server.backup import restore
from mlflow_server.drill import drill
from mlflow_server.errors import ServerError
from mlflow_server.running import weak_server
from mlflow_server.settings import read_settings
from mlflow_server.upgrade import upgrade

# Half a minute of two cores; test_preflight.py asks for the same settings without a process.
pytestmark = [pytest.mark.extended, pytest.mark.xdist_group("mlflow_server")]


def group_of(live):
    """Return process ids and command lines of the server's processes: it leads a session of its own below the command."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid=,sid=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split(None, 3) for line in found]
    sessions = {row[2] for row in rows if row[1] == str(live.process.pid)}
    return {row[0]: row[3] for row in rows if row[2] in sessions}


def test_it_is_ready_when_it_says_so(live):
    assert live.said.startswith(f"ready at {live.url} ")
    assert live.call("GET", "/health") == (200, b"OK")


def test_its_secrets_are_long_private_and_said_nowhere(live):
    secrets = [live.folder / "secrets" / name for name in ("admin-password", "flask-secret")]
    assert [path.stat().st_mode & 0o777 for path in secrets] == [0o600, 0o600]
    assert all(len(path.read_text().strip()) >= 32 for path in secrets)
    said = live.said + (live.folder / "server.log").read_text() + "".join(group_of(live).values())
    assert "uvicorn" in said
    assert not [path.name for path in secrets if path.read_text().strip() in said]


def test_what_it_keeps_is_its_owners_only(live, registered):
    kept = [live.folder, *live.folder.rglob("*")]
    assert {"mlflow.db", "auth.db", "weights.bin", "server.json"} <= {path.name for path in kept}
    assert not [path for path in kept if path.stat().st_mode & 0o077]


def test_strangers_are_refused(live):
    search = f"{API}/experiments/search?max_results=1"
    assert live.call("GET", search)[0] == 401
    assert live.call("GET", search, user=("admin", "password1234"))[0] == 401
    assert live.call("GET", search, user=("nobody", "a-long-password"))[0] == 401
    assert live.call("GET", search, user=live.admin)[0] == 200


def test_hosts_are_answered_by_name_with_the_port_and_without(live):
    for host, status in (("127.0.0.1", 401), (f"localhost:{live.port}", 401), ("rebound.example", 403), ("127.0.0.1:1", 403)):
        assert live.call("GET", f"{API}/experiments/search", headers={"Host": host})[0] == status, host


def test_owners_read_what_is_theirs(live, registered):
    assert live.call("GET", f"{ARTIFACTS}/{registered.path}/note.txt", user=ALICE) == (200, b"a note")
    assert live.call("GET", "/model-versions/get-artifact?name=heart-kd&version=1&path=weights.bin", user=ALICE) == (200, b"weights")


@pytest.mark.parametrize(
    "path",
    [
        "{artifacts}/{run}/note.txt",
        "{artifacts}/./{run}/note.txt",
        "{artifacts}/%2531{rest}/note.txt",
        "{artifacts}?path={run}",
        "{artifacts}?path=.",
        "{artifacts}",
        "/get-artifact?run_uuid={run_id}&path=note.txt",
        "/model-versions/get-artifact?name=heart-kd&version=1&path=weights.bin",
        "{api}/artifacts/list?run_id={run_id}",
        "{api}/model-versions/get?name=heart-kd&version=1",
    ],
)
def test_other_users_artefacts_need_permission(live, registered, path):
    named = path.format(artifacts=ARTIFACTS, api=API, run=registered.path, run_id=registered.run, rest=registered.path[1:])
    assert live.call("GET", named, user=BOB)[0] == 403
    assert live.call("GET", named)[0] == 401


@pytest.mark.parametrize("user", ["bob", "admin"])
@pytest.mark.parametrize(
    "path",
    [
        "../auth.db",
        "%2e%2e/auth.db",
        "%252e%252e/auth.db",
        "%25252e%25252e/auth.db",
        "..%2fauth.db",
        "1/../../auth.db",
        "1/%2e%2e/%2e%2e/auth.db",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "%252fetc%252fpasswd",
        "file:///etc/passwd",
        "C:/secrets",
    ],
)
def test_paths_that_leave_the_artefacts_are_refused(live, registered, path, user):
    who = {"bob": BOB, "admin": live.admin}[user]
    for method in ("GET", "PUT", "DELETE"):
        # 308: a path of two slashes is sent on to the same path below the artefacts, and nothing is done
        assert live.call(method, f"{ARTIFACTS}/{path}", b"x" if method == "PUT" else None, user=who)[0] in (400, 403, 308), method
    assert live.call("GET", f"{ARTIFACTS}?path={path}", user=who)[0] in (400, 403)
    assert live.call("GET", f"/get-artifact?run_uuid={registered.run}&path={path}", user=ALICE)[0] == 400
    assert live.call("GET", f"/model-versions/get-artifact?name=heart-kd&version=1&path={path}", user=ALICE)[0] == 400


@pytest.mark.parametrize("field", ["artifact_location", "artifactLocation"])
@pytest.mark.parametrize("location", ["file:///etc", "/etc", "../..", "s3://bucket/hearts", "mlflow-artifacts:/1", "models:/x/1"])
def test_nobody_says_where_artefacts_lie(live, registered, location, field):
    """MLflow itself would let any user write into any folder that the server may write to."""
    for user, route in ((BOB, "experiments/create"), (live.admin, "experiments/%63reate")):
        status, answer = live.call("POST", f"{API}/{route}", {"name": "elsewhere", field: location}, user=user)
        assert status == 400
        assert json.loads(answer)["message"].startswith("ARTIFACT_LOCATION: expected ")


def test_a_stranger_is_not_told_what_is_refused(live):
    assert live.call("POST", f"{API}/experiments/create", {"name": "elsewhere", "artifact_location": "/etc"})[0] == 401


@pytest.mark.parametrize(
    "source", ["s3://bucket/1", "gs://bucket/1", "file:///etc", "/etc", "http://127.0.0.1:1/x", "mlflow-artifacts://host/1"]
)
def test_versions_are_made_of_what_has_permissions(live, registered, source):
    """MLflow itself would fetch any object of any bucket that its key can read."""
    live.call("POST", f"{API}/registered-models/create", {"name": "bobs"}, user=BOB)
    assert live.call("POST", f"{API}/model-versions/create", {"name": "bobs", "source": source}, user=BOB)[0] == 400


def test_a_version_of_another_users_artefacts_is_refused(live, registered):
    live.call("POST", f"{API}/registered-models/create", {"name": "bobs"}, user=BOB)
    version = {"name": "bobs", "source": f"mlflow-artifacts:/{registered.path}/model"}
    assert live.call("POST", f"{API}/model-versions/create", version, user=BOB)[0] == 400
    assert live.call("POST", f"{API}/model-versions/create", version | {"run_id": registered.run}, user=BOB)[0] == 403


def test_a_running_server_passes_its_preflight(live):
    assert weak_server(live.url) == ()


def test_one_server_at_a_time_has_the_folder(live):
    done = run_server_command("serve", "--folder", live.folder)
    assert (done.returncode, done.stderr.split(":")[0]) == (2, "SERVER_RUNNING")
    with pytest.raises(ServerError, match="expected no server on"):
        upgrade(read_settings(live.folder))


def test_a_port_that_another_server_has_is_refused(live, tmp_path):
    done = run_server_command("serve", "--folder", tmp_path / "other", "--listen", f"127.0.0.1:{live.port}")
    assert (done.returncode, done.stdout, done.stderr.split(":")[0]) == (2, "", "PORT_TAKEN")


def test_a_backup_is_restored_byte_by_byte(live, registered, copied, tmp_path):
    settings = restore(copied, tmp_path / "again")
    for name in (f"artifacts/{registered.path}/model/weights.bin", "secrets/admin-password", "secrets/flask-secret"):
        assert (settings.folder / name).read_bytes() == (live.folder / name).read_bytes()
    assert not [path for path in (settings.folder, *settings.folder.rglob("*")) if path.stat().st_mode & 0o077]
    assert read_settings(settings.folder).artifact_location == str(settings.folder / "artifacts")


def test_a_restore_writes_over_nothing(copied, tmp_path):
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "note.txt").write_text("mine")
    with pytest.raises(ServerError, match=r"again/note\.txt") as refused:
        restore(copied, tmp_path / "again")
    assert refused.value.code == "TARGET_NOT_EMPTY"
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["note.txt"]


def test_a_restore_that_fails_leaves_no_half_server(copied, tmp_path, monkeypatch):
    def full(source, location):
        raise OSError("no space left on device")

    monkeypatch.setattr(artifacts, "copy_in", full)
    with pytest.raises(OSError, match="no space"):
        restore(copied, tmp_path / "again")
    assert list((tmp_path / "again").iterdir()) == []


@pytest.mark.parametrize("change", ["changed", "missing", "added"])
def test_an_altered_backup_is_refused_by_the_name_of_the_file(copied, registered, tmp_path, change):
    path = copied / "artifacts" / registered.path / "model" / "weights.bin"
    if change == "changed":
        path.write_bytes(b"Weights")
    elif change == "missing":
        path.unlink()
    else:
        path = path.with_name("more.bin")
        path.write_bytes(b"more")
    with pytest.raises(ServerError, match=path.name) as refused:
        restore(copied, tmp_path / "again")
    assert refused.value.code == "BACKUP_ALTERED"
    assert not (tmp_path / "again").exists()


@pytest.mark.extended
def test_a_drill_starts_a_server_on_the_backup_and_finds_every_version(live, registered):
    found = drill(read_settings(live.folder))
    assert list(found["seconds"]) == ["backup", "restore", "start", "compare"]
    assert (found["versions"], found["files"]) == (2, 3)


def test_ctrl_c_ends_every_process(live):
    before = group_of(live)
    assert before
    began = time.monotonic()
    os.kill(live.process.pid, signal.SIGINT)
    assert live.process.wait(timeout=20) == 130
    assert time.monotonic() - began < 5
    assert not [pid for pid in before if Path("/proc", pid).exists()]
