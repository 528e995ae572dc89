from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from data_contracts import NetworkError
from medkd.review_server.serve import serve


def test_a_port_that_is_taken_is_named(make_settings):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(NetworkError, match="another --port") as caught:
        serve(replace(make_settings(), port=taken.getsockname()[1]), print)
    assert caught.value.code == "PORT_TAKEN"


def test_certificates_that_are_missing_are_named(make_settings, tmp_path):
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "tls.crt").write_text("x")
    with pytest.raises(NetworkError, match=r"got no tls.key") as caught:
        serve(make_settings(port=0, tls=tmp_path / "tls"), print)
    assert caught.value.code == "TLS_FILES"
