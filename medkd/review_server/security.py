"""What every answer and every request is held to: headers, bodies of bounded size, hosts that we are called by, the proxy alone."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medkd.review_server.settings import LOCAL, MOST_BODY, ServerSettings

POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex, nofollow",
}


class Guard:
    """Puts the headers on every answer, whatever it is, and refuses what should not come further.

    Args:
        app: that is guarded.
        settings: of the server.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app, self._settings = app, settings
        more = {"Strict-Transport-Security": "max-age=31536000"} if settings.secure else {}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in {**HEADERS, **more}.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        app = self._app if refusal is None else PlainTextResponse(refusal[1] + "\n", status_code=refusal[0])
        body = _Bounded(receive)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in self._headers}
                message["headers"] = [pair for pair in message["headers"] if pair[0].lower() not in ours] + self._headers
            await send(message)

        try:
            await app(scope, body, with_headers)
        except BodyTooLarge:
            answer = PlainTextResponse(f"expected a body of at most {MOST_BODY} bytes, got more; nothing was saved\n", status_code=413)
            await answer(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        address = (scope.get("client") or ("", 0))[0]
        if self._settings.proxy is not None and address != self._settings.proxy:
            return 403, "expected the proxy of this server, got another address"
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self._settings.proxy is None and _host(headers.get(b"host", "")) not in {*LOCAL, self._settings.host} and not self._settings.tls:
            # A page of others that a browser was led to under a name of theirs (DNS rebinding) is not answered.
            return 421, "expected a name of this machine, got another"
        if headers.get(b"content-length", "0").isdigit() and int(headers.get(b"content-length", "0")) > MOST_BODY:
            return 413, f"expected a body of at most {MOST_BODY} bytes, got {headers[b'content-length']}; nothing was saved"
        return None


class BodyTooLarge(Exception):
    """A body without a stated length turned out too large."""


class _Bounded:
    def __init__(self, receive: Receive) -> None:
        self._receive, self._bytes = receive, 0

    async def __call__(self) -> Any:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > MOST_BODY:
            raise BodyTooLarge
        return message


def _host(stated: str) -> str:
    """Return a host without its port."""
    if stated.startswith("["):
        return stated[1:].partition("]")[0]
    return stated.rpartition(":")[0] if ":" in stated else stated
