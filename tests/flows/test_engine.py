from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from data_contracts import MissingDependencyError, RegistryError, StoreError
from flows.engine import GroupOfCalls, PlainEngine, current_engine, may_pass
from flows.orchestration import flow, submit_all, task
from flows.start import start_engine
from flows.workers import Workers


def double(number: int) -> int:
    return 2 * number


def fail(number: int) -> int:
    if number == 2:
        raise StoreError("STORE_MISSING", "expected 2, found none")
    return number


def die(folder: str, often: int) -> int:
    """End this process so many times, then return how often it did."""
    times = len(os.listdir(folder))
    if times < often:
        open(os.path.join(folder, str(times)), "x").close()
        os._exit(9)
    return times


@flow
def doubled(numbers: tuple[int, ...]) -> list[int]:
    """Double all numbers."""
    return submit_all(task(double), [(n,) for n in numbers], title="double")


def test_without_an_engine_everything_runs_here_and_now():
    assert doubled((1, 2, 3)) == [2, 4, 6]
    assert isinstance(current_engine(), PlainEngine)


def test_results_come_in_the_order_of_the_calls(tmp_path):
    with start_engine("none", tmp_path, workers=0):
        assert doubled((5, 1)) == [10, 2]


def test_an_error_of_ours_crosses_as_itself(tmp_path):
    with start_engine("none", tmp_path, workers=0), pytest.raises(StoreError) as caught:
        submit_all(task(fail), [(1,), (2,)], title="fail")
    assert caught.value.code == "STORE_MISSING"


@pytest.mark.extended
@pytest.mark.extended
def test_what_a_lost_worker_held_is_begun_again_and_what_kills_every_worker_is_said_in_one_sentence(tmp_path):
    (tmp_path / "once").mkdir()
    (tmp_path / "always").mkdir()
    engine = PlainEngine(Workers(1))
    try:
        assert engine.submit_all(task(die), [(str(tmp_path / "once"), 1)], title="die") == [1]
        with pytest.raises(MissingDependencyError, match="one was killed") as caught:
            engine.submit_all(task(die), [(str(tmp_path / "always"), 99)], title="die")
    finally:
        engine.workers.close()
    assert caught.value.code == "WORKER_LOST"
    assert len(os.listdir(tmp_path / "always")) == 3


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (RegistryError("REGISTRY_UNREACHABLE", "expected a server, it cannot be reached"), True),
        (MissingDependencyError("WORKER_LOST", "expected worker processes to finish, one was killed"), True),
        (StoreError("STORE_MISSING", "expected bytes, found none"), False),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ValueError("a fault of ours"), False),
        (FileNotFoundError("no file"), False),
    ],
)
def test_only_what_is_outside_may_be_over_the_next_time(error, passes):
    assert may_pass(error) is passes


def test_a_server_that_cuts_a_request_off_may_be_there_the_next_time():
    requests = pytest.importorskip("requests")
    assert may_pass(requests.exceptions.ConnectionError())
    assert may_pass(requests.exceptions.ReadTimeout())
    assert not may_pass(requests.exceptions.InvalidURL())


def test_a_call_begins_when_the_one_before_it_ends(monkeypatch):
    now, said = iter([100.0, 103.0, 105.0, 109.0]), []

    class Group:
        def finished(self, name, seconds):
            said.append((name, seconds))

    monkeypatch.setattr("flows.engine.time.monotonic", lambda: next(now))
    group = GroupOfCalls(Group(), 2)  # two at once: the third begins at 103, when the first is over
    for name in ("first", "second", "third"):
        group.finished(name)
    assert said == [("first", 3.0), ("second", 5.0), ("third", 6.0)]


@pytest.mark.extended
def test_prefects_server_module_imports_with_the_pinned_set():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import prefect.server.api.server as s; print(s.create_app.__name__)"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "create_app", done.stderr[-1000:]


def test_telemetry_is_off_in_every_process_of_ours():
    code = (
        "import flows, os\n"
        "from prefect.settings import get_current_settings\n"
        "print(get_current_settings().server.analytics_enabled, os.environ['DO_NOT_TRACK'], os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False 1 true"


def test_the_embedded_server_ends_with_the_process_that_started_it(tmp_path):
    """However that ends: here by SIGKILL."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from flows.prefect_server import EmbeddedServer\n"
        "server = EmbeddedServer(Path(sys.argv[1]))\n"
        "print(server._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], capture_output=True, text=True)
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _is_alive(pid):
        time.sleep(0.1)
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
