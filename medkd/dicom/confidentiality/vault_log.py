"""A vault's log: who recorded, read or changed what and when, one line each, every line with the digest of the one before.

The last line's digest is kept encrypted beside it, so that lines can neither be altered nor cut off by whoever has no key. Nobody without a key
can write a line that holds; who has one could write a log of their own: the log is against forgetting, not against the keeper of the key.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptography.fernet import InvalidToken, MultiFernet

from data_contracts import ContractError, VaultError, VaultEvent, read_record
from data_contracts.private import open_private
from medkd.storage.store import write_bytes

LOG, SEAL = "log.jsonl", "log.seal"


class VaultLog:
    """The log of a vault; its holder is the only one who writes.

    Args:
        folder: of the vault.
        cipher: of the vault.
    """

    def __init__(self, folder: Path, cipher: MultiFernet) -> None:
        self._path, self._seal, self._cipher = folder / LOG, folder / SEAL, cipher
        #: Number of lines and digest of the last, once they were verified: nobody else writes while the vault is open.
        self._end: tuple[int, str | None] | None = None

    def append(self, what: Literal["recorded", "read", "rotated"], studies: Sequence[str], why: str = "") -> VaultEvent:
        """Write a line, to the disk before this returns: what is read afterwards has been said.

        Raises:
            VaultError: ``VAULT_LOG_ALTERED``.
        """
        if self._end is None:
            self.read()
        count, last = self._end or (0, None)
        event = VaultEvent(
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            who=_user(),
            what=what,
            studies=tuple(studies),
            why=why,
            previous=last,
        )
        with open_private(self._path, "ab") as stream:
            stream.write(event.canonical_json() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._end = (count + 1, event.digest())
        self.seal()
        return event

    def seal(self) -> None:
        """Say, encrypted, how many lines there are and what the last one is."""
        if self._end is None:
            self.read()
        write_bytes(self._seal, self._cipher.encrypt(json.dumps(self._end).encode()))

    def read(self) -> list[VaultEvent]:
        """Return the lines, verified.

        Raises:
            VaultError: ``VAULT_LOG_ALTERED`` where a line was changed, removed or put in.
        """
        lines = [self._line(text) for text in self._path.read_bytes().splitlines()] if self._path.is_file() else []
        digests = [None, *(line.digest() for line in lines)]
        for place, line in enumerate(lines):
            if line.previous != digests[place]:
                raise self._altered(f"line {place + 1} does not follow the one before")
        self._end = (len(lines), digests[-1])
        if not self._seal.is_file():
            if lines:
                raise self._altered(f"{SEAL} is missing")
            return []
        try:
            count, last = json.loads(self._cipher.decrypt(self._seal.read_bytes()))
        except InvalidToken as error:
            raise self._altered(f"{SEAL} was not written with this key") from error
        # A process may have ended between a line and its seal: one line more is whole, one less is not.
        if len(lines) - count not in (0, 1) or digests[count] != last:
            raise self._altered(f"it has {len(lines)} lines, of {count} that were written")
        return lines

    def _line(self, text: bytes) -> VaultEvent:
        try:
            return read_record(text, VaultEvent)
        except ContractError as error:
            raise self._altered("a line cannot be read") from error

    def _altered(self, how: str) -> VaultError:
        return VaultError(
            "VAULT_LOG_ALTERED", f"expected {self._path} as it was written, {how}: keep it for whoever looks into it, and restore a copy"
        )


def _user() -> str:
    """Return the user that the system knows, not what the environment calls them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return str(os.getuid())
