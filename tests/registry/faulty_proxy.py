"""A tracking server's address through which it can be slow, broken, gone, or gone in the middle of a call."""

from __future__ import annotations

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyProxy:
    """Hands requests on to a server.

    Attributes:
        delay_s: before each answer.
        broken: every answer is 500.
        down: connections are closed without an answer, as by a server that is gone.
        gone_at: part of a path; the first request of it is carried out, its answer is lost, and the server is gone from then on.
        lose_at: as ``gone_at`` without the server being gone.
        calls: method and path of every request.
    """

    def __init__(self, port: int) -> None:
        self.delay_s, self.broken, self.down = 0.0, False, False
        self.gone_at = self.lose_at = ""
        self.calls: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(port))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def mend(self) -> None:
        self.delay_s, self.broken, self.down, self.gone_at, self.lose_at = 0.0, False, False, "", ""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self, port: int):
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                proxy.calls.append(f"{self.command} {self.path}")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if proxy.down:
                    return self.hang_up()
                time.sleep(proxy.delay_s)
                if proxy.broken:
                    return self.answer(500, {}, b"it is broken")
                backend = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
                backend.request(self.command, self.path, body, headers)
                found = backend.getresponse()
                payload = found.read()
                backend.close()
                if proxy.gone_at and proxy.gone_at in self.path:
                    proxy.down = True
                    return self.hang_up()
                if proxy.lose_at and proxy.lose_at in self.path:
                    proxy.lose_at = ""
                    return self.hang_up()
                return self.answer(found.status, {"Content-Type": found.headers.get("Content-Type", "text/plain")}, payload)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

            def answer(self, status, headers, payload) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def hang_up(self) -> None:
                self.close_connection = True
                self.connection.shutdown(2)

            def log_message(self, *_) -> None:
                """Say nothing."""

        return Handler
