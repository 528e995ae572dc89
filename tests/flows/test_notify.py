"""Real servers that listen: of HTTP, and of SMTP as far as a client needs one."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from flows.notify import notify, tell_of_failure

SAID = {"flow": "ingest-watch", "run": "ingest-watch", "id": "1", "state": "Failed", "message": "SourceError STUDIES_UNNAMED"}


@contextmanager
def listening(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def noting_server():
    """Give the port of a server that notes what it is told, and what it was told."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with listening(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, got


@pytest.fixture
def hook(monkeypatch):
    with noting_server() as (port, got):
        monkeypatch.setenv("MEDKD_NOTIFY_URL", f"http://127.0.0.1:{port}/hook")
        yield got


def test_a_webhook_gets_what_failed(hook):
    tell_of_failure(
        SimpleNamespace(name="ingest-watch"),
        SimpleNamespace(name="ingest-watch", id=1),
        SimpleNamespace(name="Failed", message="SourceError STUDIES_UNNAMED"),
    )
    assert hook == [SAID]


def test_a_mail_goes_to_whoever_is_named(monkeypatch):
    lines = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 here\r\n")
            in_data = False
            for raw in self.rfile:
                line = raw.decode().strip()
                lines.append(line)
                if in_data:
                    in_data = line != "."
                    if not in_data:
                        self.wfile.write(b"250 kept\r\n")
                elif line.upper() == "DATA":
                    in_data = True
                    self.wfile.write(b"354 go on\r\n")
                elif line.lower() == "quit":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 fine\r\n")

    with listening(socketserver.TCPServer(("127.0.0.1", 0), Handler)) as port:
        monkeypatch.setenv("MEDKD_NOTIFY_MAIL", "imaging@hospital.example")
        monkeypatch.setenv("MEDKD_SMTP", f"127.0.0.1:{port}")
        notify(SAID)
    assert "Subject: medkd: ingest-watch Failed" in lines
    assert "message: SourceError STUDIES_UNNAMED" in lines
    assert any(line.lower().startswith("rcpt to:<imaging@hospital.example>") for line in lines)


@pytest.mark.parametrize(("name", "value"), [("MEDKD_NOTIFY_URL", "http://127.0.0.1:9/"), ("MEDKD_NOTIFY_URL", "file:///etc/passwd")])
def test_nobody_to_tell_is_logged_and_no_failure_of_its_own(monkeypatch, caplog, name, value):
    monkeypatch.setenv(name, value)
    notify(SAID)
    assert "nobody could be told of ingest-watch (Failed)" in caplog.text


def test_without_anybody_to_tell_nobody_is_told(caplog):
    notify(SAID)
    assert caplog.text == ""
