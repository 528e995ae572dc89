"""A server that listens until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from data_contracts import NetworkError
from data_contracts.private import privately
from medkd.review_server.app import create_app
from medkd.review_server.settings import ServerSettings


def serve(settings: ServerSettings, ready: Callable[[str], None]) -> None:
    """Serve reports until the process is stopped (Ctrl-C or SIGTERM): requests that have begun are answered first.

    Args:
        settings: of the server.
        ready: called with the server's address once connections are taken.

    Raises:
        NetworkError: ``PORT_TAKEN`` or ``TLS_FILES``, and as :func:`~medkd.review_server.app.create_app`.
    """
    with privately():
        app = create_app(settings)
        certificate, key = _tls(settings)
        listening = _listen(settings)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # addresses hold pseudonyms of studies
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        scheme = "https" if settings.tls is not None else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        ready(f"{scheme}://{host}:{listening.getsockname()[1]}/")
        _Server(config).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that ends when its last answer is sent: a TLS connection on which nothing goes on would be waited for."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what is idle at once, and let the others end their answers."""
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is None or cycle.response_complete:
                connection.transport.abort()
        await super().shutdown(sockets)


def _listen(settings: ServerSettings) -> socket.socket:
    try:
        return socket.create_server(
            (settings.host, settings.port), family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET, backlog=256
        )
    except OSError as error:
        raise NetworkError(
            "PORT_TAKEN",
            f"expected to listen at {settings.host} port {settings.port}, that is not possible ({error.strerror}); give another --port",
        ) from error


def _tls(settings: ServerSettings) -> tuple[str | None, str | None]:
    """Return the files of certificate and key."""
    if settings.tls is None:
        return None, None
    files = [settings.tls / "tls.crt", settings.tls / "tls.key"]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise NetworkError("TLS_FILES", f"expected tls.crt and tls.key in {settings.tls}, got no {' and no '.join(missing)}")
    return str(files[0]), str(files[1])
