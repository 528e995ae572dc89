from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from data_contracts import MissingDependencyError
from flows import prefect_server
from flows.prefect_server import EmbeddedServer, _free_port


@pytest.fixture
def server(monkeypatch):
    """Return a maker of a server whose process is none; it notes how it was started and ended."""
    noted = []

    class Process(SimpleNamespace):
        def poll(self):
            return self.returncode

        def terminate(self):
            noted.append("terminate")

        def kill(self):
            noted.append("kill")

        def wait(self, timeout=None):
            noted.append(("wait", timeout))

    def make(returncode=None):
        def popen(command, **options):
            noted.append((command, options))
            return Process(returncode=returncode)

        monkeypatch.setattr(prefect_server.subprocess, "Popen", popen)
        return EmbeddedServer("home"), noted

    return make


def test_a_port_is_free():
    port = _free_port()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        assert probe.getsockname()[1] == port


def test_it_is_out_of_reach_of_the_terminals_interrupt_and_serves_this_run_only(server):
    made, ((command, options),) = server()
    assert options["start_new_session"] is True
    assert command[-1] == str(prefect_server.os.getpid())
    assert made.url == f"http://127.0.0.1:{command[-2]}/api"
    environment = options["env"]
    assert (environment["PREFECT_HOME"], environment["PREFECT_API_URL"], environment["PREFECT_UI_ENABLED"]) == ("home", "", "false")


def test_a_server_that_ended_is_said_with_its_status(server):
    made, _ = server(returncode=3)
    with pytest.raises(MissingDependencyError, match="it ended with status 3; try --engine none") as caught:
        made.wait()
    assert caught.value.code == "PREFECT_SERVER"


def test_a_server_that_does_not_answer_in_time_is_ended(server, monkeypatch):
    made, noted = server()
    monkeypatch.setattr(prefect_server, "START_S", 0.0)
    with pytest.raises(MissingDependencyError, match="it did not answer"):
        made.wait()
    assert noted[-2:] == ["kill", ("wait", None)]


def test_it_is_ended_in_peace_first_and_at_once_where_that_takes_too_long(server, monkeypatch):
    made, noted = server()
    made.stop()
    assert noted[1:] == ["terminate", ("wait", 5)]

    def late(timeout=None):
        noted.append(("wait", timeout))
        if timeout is not None:
            raise prefect_server.subprocess.TimeoutExpired("server", timeout)

    made._process.wait = late
    made.stop()
    assert noted[3:] == ["terminate", ("wait", 5), "kill", ("wait", None)]
