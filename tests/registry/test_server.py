"""A registry that cannot be asked is known in seconds."""

from __future__ import annotations

import socket
import time

import pytest

from data_contracts import RegistryError
from medkd.registry import server


def refused(uri):
    started = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        server.require_registry(uri)
    assert time.monotonic() - started < 15
    return caught.value.code, str(caught.value)


def test_a_server_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert refused(f"http://user:secret@127.0.0.1:{port}")[0] == "REGISTRY_UNREACHABLE"
    assert "secret" not in refused(f"http://user:secret@127.0.0.1:{port}")[1]


def test_a_server_that_takes_the_call_and_never_answers(monkeypatch):
    monkeypatch.setattr(server, "ANSWER_S", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert refused(f"http://127.0.0.1:{silent.getsockname()[1]}")[0] == "REGISTRY_UNREACHABLE"


def test_databases_that_are_none(tmp_path):
    (tmp_path / "junk").write_bytes(b"no database at all")
    assert refused(f"sqlite:///{tmp_path / 'junk'}")[0] == "REGISTRY_UNREADABLE"
    assert refused(f"sqlite:///{tmp_path / 'nothing'}")[0] == "REGISTRY_MISSING"
    assert refused(f"sqlite:///{tmp_path}")[0] == "REGISTRY_MISSING"
