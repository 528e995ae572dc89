from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

from data_contracts import MissingDependencyError, StoreError
from flows.engine import PlainEngine, _gather, current_engine, orchestrated, run_all
from flows.start import start_engine


def double(number: int) -> int:
    return 2 * number


def fail(number: int) -> int:
    if number == 2:
        raise StoreError("STORE_MISSING", "expected 2, found none")
    return number


def die(number: int) -> int:
    os._exit(number)


@orchestrated
def doubled(numbers: tuple[int, ...]) -> list[int]:
    """Double all numbers."""
    return run_all(double, [(n,) for n in numbers], title="double")


def test_without_an_engine_everything_runs_here_and_now():
    assert doubled((1, 2, 3)) == [2, 4, 6]
    assert isinstance(current_engine(), PlainEngine)


def test_a_flow_is_the_plain_function_decorated():
    assert doubled.__wrapped__.__name__ == "doubled"
    assert doubled.__doc__ == "Double all numbers."


def test_results_come_in_the_order_of_the_calls(tmp_path):
    with start_engine("none", tmp_path, workers=0):
        assert doubled((5, 1)) == [10, 2]


def test_an_error_of_ours_crosses_as_itself(tmp_path):
    with start_engine("none", tmp_path, workers=0), pytest.raises(StoreError) as caught:
        run_all(fail, [(1,), (2,)], title="fail")
    assert caught.value.code == "STORE_MISSING"


class Lost:
    def result(self):
        raise BrokenProcessPool

    def cancel(self):
        return True


def test_a_lost_worker_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setattr("flows.engine.as_completed", iter)
    with pytest.raises(MissingDependencyError, match="one was killed") as caught:
        _gather({Lost(): "1"}, None)
    assert caught.value.code == "WORKER_LOST"


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


def test_the_first_flow_waits_for_the_server_however_long_it_takes_to_start(monkeypatch, tmp_path):
    """A client that does not wait would find a server without a process."""
    from flows import prefect_engine

    order = []

    class SlowServer:
        url = "http://127.0.0.1:9/api"

        def __init__(self, home):
            order.append("begun")

        def wait(self):
            order.append("server")

        def stop(self):
            order.append("stopped")

    monkeypatch.setattr(prefect_engine, "EmbeddedServer", SlowServer)
    monkeypatch.setattr(prefect_engine, "keep_database", lambda _home: None)
    monkeypatch.setattr(prefect_engine, "flow", lambda **_: lambda function: function)
    engine = prefect_engine.PrefectEngine(None)
    for _ in range(2):
        engine.run_flow(order.append, "flow")
    engine.close()
    assert order == ["begun", "server", "flow", "flow", "stopped"]


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
