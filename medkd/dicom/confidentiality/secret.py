"""Keyed pseudonyms: what leaves ingestion instead of identifiers."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path

from data_contracts.private import private_folder

_LOG = logging.getLogger("medkd")
_LENGTH = 16


def pseudonym(secret: bytes, kind: str, identifier: str) -> str:
    """Return a key for an identifier: HMAC-SHA256 over kind and identifier, 16 hex digits behind the kind's first letter.

    The same secret gives the same key, so that a patient's studies stay together; without the secret it cannot be inverted
    or recomputed from a list of names.
    """
    # A byte between them that no kind holds: no two pairs are written alike.
    digest = hmac.new(secret, f"{kind}\0{identifier}".encode(), hashlib.sha256).hexdigest()
    return f"{kind[0]}{digest[:_LENGTH]}"


def keyed_number(secret: bytes, kind: str, identifier: str) -> int:
    """Return a number of 128 bits from an identifier: the same for the same secret, unrelated for another."""
    return int.from_bytes(hmac.new(secret, f"{kind}\0{identifier}".encode(), hashlib.sha256).digest()[:16], "big")


def site_secret() -> bytes:
    """Return the site's secret: ``MEDKD_SECRET``, or a 0600 file in the user's state folder, made once with a warning."""
    given = os.environ.get("MEDKD_SECRET")
    if given:
        return given.encode()
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "medkd" / "secret"
    if not path.is_file():
        private_folder(path.parent)
        # Exclusive: of two processes that start at once, the second must not replace a secret that the first has used already.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))
        _LOG.warning("made a new pseudonym secret at %s: keep a copy, keys made with another secret cannot be matched", path)
    return path.read_bytes().strip()
