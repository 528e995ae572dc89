"""Certificates and tokens: who is trusted, who we are. Neither is ever on a command line, in a sentence or in a log.

Certificates lie in a folder, by the names that certificate managers give them: ``tls.crt`` and ``tls.key`` are our own, ``ca.crt`` is who is
trusted. A token stands in an environment variable, or in a file that one names.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from data_contracts import NetworkError

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"
#: Environment variables: a bearer token, a file that holds one, and the folder of certificates.
TOKEN, TOKEN_FILE, TLS = "MEDKD_DICOMWEB_TOKEN", "MEDKD_DICOMWEB_TOKEN_FILE", "MEDKD_TLS"
_LOCAL = ("localhost", "127.0.0.1", "::1")


def tls_folder() -> Path | None:
    """Return the folder of certificates that the environment names."""
    named = os.environ.get(TLS)
    return Path(named) if named else None


def server_context(folder: Path) -> ssl.SSLContext:
    """Return how connections to us are secured: TLS 1.2 or newer (PS3.15 B.9), and with ``ca.crt`` only peers that it has signed.

    Raises:
        NetworkError: ``TLS_FILES`` when a file is missing or none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_own(context, folder)
    if (folder / AUTHORITY).is_file():
        _trust(context, folder)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(folder: Path | None = None) -> ssl.SSLContext:
    """Return how connections of ours are secured: the peer's name and certificate are verified, by ``ca.crt`` or by what the system trusts.

    Raises:
        NetworkError: ``TLS_FILES`` when a file is none.
    """
    context = (
        ssl.create_default_context() if folder is None or not (folder / AUTHORITY).is_file() else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if folder is not None:
        if not folder.is_dir():
            raise NetworkError("TLS_FILES", f"expected a folder with {AUTHORITY}, or {CERTIFICATE} and {KEY}, at {folder}, there is none")
        if (folder / AUTHORITY).is_file():
            _trust(context, folder)
        if (folder / CERTIFICATE).is_file():
            _load_own(context, folder)
    return context


def bearer_token(url: str) -> str | None:
    """Return the token that requests to an archive carry, None where the environment names none.

    Raises:
        NetworkError: ``NETWORK_TOKEN`` when its file cannot be read, when it is none, or when it would travel in clear.
    """
    token = os.environ.get(TOKEN)
    if not token and (named := os.environ.get(TOKEN_FILE)):
        try:
            token = Path(named).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NetworkError(
                "NETWORK_TOKEN", f"expected a token in the file that {TOKEN_FILE} names, {named}: {type(error).__name__}"
            ) from error
    if not token:
        return None
    if any(not "!" <= one <= "~" for one in token):
        raise NetworkError(
            "NETWORK_TOKEN", f"expected a token of printable characters in {TOKEN} or {TOKEN_FILE}, of its {len(token)} some are not"
        )
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOCAL:
        raise NetworkError(
            "NETWORK_TOKEN",
            f"expected https:// for requests with a token, {parts.hostname} is asked over {parts.scheme}; everybody on the way could read it",
        )
    return token


def _load_own(context: ssl.SSLContext, folder: Path) -> None:
    try:
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        raise NetworkError(
            "TLS_FILES", f"expected {CERTIFICATE} and {KEY} (PEM, without a passphrase) in {folder}: {_why(error)}"
        ) from error


def _trust(context: ssl.SSLContext, folder: Path) -> None:
    try:
        context.load_verify_locations(folder / AUTHORITY)
    except (OSError, ssl.SSLError) as error:
        raise NetworkError("TLS_FILES", f"expected certificates in PEM in {folder / AUTHORITY}: {_why(error)}") from error


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
