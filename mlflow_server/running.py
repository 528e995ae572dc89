"""A server that runs, asked over HTTP: what it should refuse and does not, and what it has."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow_server.errors import Problem, ServerError
from mlflow_server.settings import LOOPBACK

_SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
_KNOWN_PASSWORDS = ("password1234", "password")


class Server:
    """A server by its URL.

    Args:
        url: ``http://HOST:PORT`` or ``https://HOST``.
        user: name and password, if any.

    Raises:
        ServerError: ``URL_MALFORMED``.
    """

    def __init__(self, url: str, user: tuple[str, str] | None = None) -> None:
        self._parts = urllib.parse.urlsplit(url)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise ServerError("URL_MALFORMED", f"expected http://HOST:PORT or https://HOST, got {url}; name the server by it")
        self._url, self._user = url.rstrip("/"), user

    @property
    def in_clear(self) -> bool:
        """Return whether passwords pass a network in clear."""
        return self._parts.scheme == "http" and self._parts.hostname not in LOOPBACK

    def get(self, path: str, *, user: tuple[str, str] | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and body of a GET.

        Raises:
            ServerError: ``SERVER_UNREACHABLE`` with what came instead of an answer.
        """
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=60)
        given = user or self._user
        sent = dict(headers or {})
        if given:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(given).encode()).decode()
        try:
            connection.request("GET", self._parts.path.rstrip("/") + path, headers=sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(
                "SERVER_UNREACHABLE", f"expected a server at {self._url}, it cannot be reached ({error}); start it, or name another"
            ) from error
        finally:
            connection.close()

    def ask(self, route: str, /, **parameters: str) -> dict[str, Any]:
        """Return what the server says to a question of its REST interface.

        Raises:
            ServerError: ``SERVER_REFUSED`` with the status.
        """
        status, body = self.get(f"/api/2.0/{route}?{urllib.parse.urlencode(parameters)}")
        if status != 200:
            raise ServerError(
                "SERVER_REFUSED",
                f"expected an answer to {route} of {self._url}, got status {status}: {body[:200].decode(errors='replace')}",
            )
        found: dict[str, Any] = json.loads(body)
        return found


def weak_server(url: str) -> tuple[Problem, ...]:
    """Return what a running server does not refuse and should.

    Raises:
        ServerError: ``SERVER_UNREACHABLE``.
    """
    return tuple(_weak(Server(url), url))


def _weak(server: Server, url: str) -> Iterator[Problem]:
    status, body = server.get("/health")
    if (status, body) != (200, b"OK"):
        yield Problem("SERVER_UNREACHABLE", f"expected MLflow at {url}, /health answers {status}; start it, or name another")
        return
    if server.in_clear:
        yield Problem("LISTENS_WITHOUT_TLS", f"expected https of a server on another machine, got {url}; put a proxy with TLS in front")
    status, _ = server.get(_SEARCH)
    if status != 401:
        yield Problem("AUTH_OFF", f"expected status 401 without a password, got {status}; start it with the command serve")
    else:
        for password in _KNOWN_PASSWORDS:
            if server.get(_SEARCH, user=("admin", password))[0] != 401:
                yield Problem(
                    "PASSWORD_DEFAULT",
                    f"expected {url} to refuse the password that MLflow shipped, it takes it; change the password of admin",
                )
                break
    status, _ = server.get(_SEARCH, headers={"Host": "rebound.invalid"})
    if status != 403:
        yield Problem("HOSTS_WILDCARD", f"expected status 403 for a Host header of another name, got {status}; name the allowed hosts")
