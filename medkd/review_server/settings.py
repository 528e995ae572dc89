"""How a server is set up, and what is refused before it listens."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from data_contracts import NetworkError, SourceError
from medkd.storage.output import require_apart

LOCAL = ("127.0.0.1", "::1", "localhost")
#: Folders within the server's data.
FEEDBACK, CONTROLS = "feedback", "controls"
#: Largest body of a request: a form with drawn masks of 200,000 runs each.
MOST_BODY = 24 * 2**20


@dataclass(frozen=True)
class ServerSettings:
    """A server's set-up.

    Attributes:
        reports: folder with reports, a folder each.
        data: folder of accounts, feedback log and control reports.
        host: address to listen at.
        port: to listen at; 0 takes a free one.
        proxy: address of the proxy that alone may connect; None where browsers connect themselves.
        user_header: header in which that proxy names who is logged in; None where we ask for a password.
        tls: folder of ``tls.crt`` and ``tls.key``.
        control_share: of the studies that are shown with wrong maps, 0 to 0.5.
    """

    reports: Path
    data: Path
    host: str = "127.0.0.1"
    port: int = 8320
    proxy: str | None = None
    user_header: str | None = None
    tls: Path | None = None
    control_share: float = 0.0

    @property
    def feedback(self) -> Path:
        """Return the folder of the feedback log."""
        return self.data / FEEDBACK

    @property
    def controls(self) -> Path:
        """Return the folder of the control reports."""
        return self.data / CONTROLS

    @property
    def secure(self) -> bool:
        """Return whether browsers speak TLS with us or with the proxy before us."""
        return self.tls is not None or self.proxy is not None

    def require_usable(self) -> None:
        """Refuse what would not be served well.

        Raises:
            SourceError: ``REPORTS_MISSING``.
            OutputError: as :func:`~medkd.storage.output.require_apart`.
            NetworkError: ``BIND_PUBLIC``, ``PROXY_ADDRESS``, ``USER_HEADER`` or ``CONTROL_SHARE``.
        """
        if not self.reports.is_dir():
            raise SourceError(
                "REPORTS_MISSING", f"expected a folder with reports at {self.reports}, there is none; write some with `medkd report-store`"
            )
        require_apart(self.reports, self.data, called="the reports")  # control reports would be served as genuine ones
        if self.host not in LOCAL and not self.secure:
            raise NetworkError(
                "BIND_PUBLIC",
                f"expected 127.0.0.1, got {self.host}: others on the network could read passwords and pictures; give --tls FOLDER, or put a proxy "
                "with TLS before it and give --behind-proxy ADDRESS",
            )
        if self.proxy is not None:
            _require_address(self.proxy)
        if self.user_header is not None:
            if self.proxy is None:
                raise NetworkError(
                    "USER_HEADER",
                    f"expected --behind-proxy ADDRESS with --user-header {self.user_header}, got none: anybody could send that header",
                )
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{1,63}", self.user_header):
                raise NetworkError("USER_HEADER", f"expected the name of a header, such as X-Remote-User, got {self.user_header!r}")
        if not 0 <= self.control_share <= 0.5:
            raise NetworkError("CONTROL_SHARE", f"expected a share from 0 to 0.5, got {self.control_share:g}")


def _require_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise NetworkError(
            "PROXY_ADDRESS", f"expected the IP address that the proxy connects from, such as 127.0.0.1, got {text!r}"
        ) from error
