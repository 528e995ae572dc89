"""The key of a re-identification vault: a file of the site's that lies apart from the vault, of its owner alone."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet

from data_contracts import VaultError
from data_contracts.private import open_private, private_folder
from data_contracts.record import partial_path

_LOG = logging.getLogger("medkd")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def key_file() -> Path:
    """Return where the key lies: ``MEDKD_VAULT_KEY``, or a file in the user's state folder."""
    given = os.environ.get("MEDKD_VAULT_KEY")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(given) if given else state / "medkd" / "vault.key"


def make_keys(path: Path) -> tuple[str, ...]:
    """Return the keys of a file, which is made with a new one where there is none."""
    if not path.is_file():
        private_folder(path.parent)
        # Exclusive: of two processes that start at once, the second must not replace a key that the first has used already.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(Fernet.generate_key() + b"\n")
        _LOG.warning("made a new vault key at %s: keep a copy, without it nobody can be re-identified", path)
    return read_keys(path)


def read_keys(path: Path) -> tuple[str, ...]:
    """Return the keys of a file, the newest first: more than one while a change of the key is not finished.

    Raises:
        VaultError: ``VAULT_KEY_MISSING``, ``VAULT_KEY_OPEN`` where others may read it, ``VAULT_KEY_INVALID`` where it is no key.
    """
    try:
        mode = path.stat().st_mode
        keys = tuple(path.read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError) as error:
        raise VaultError(
            "VAULT_KEY_MISSING",
            f"expected the vault's key at {path}, it cannot be read ({type(error).__name__}); put the site's copy there, or name it in MEDKD_VAULT_KEY",
        ) from error
    if mode & _OTHERS:
        raise VaultError(
            "VAULT_KEY_OPEN", f"expected a key that only its owner can read, {path} has mode {mode & 0o777:03o}; chmod it to 600"
        )
    try:
        cipher_of(keys)
    except ValueError as error:
        raise VaultError("VAULT_KEY_INVALID", f"expected a vault key of 32 bytes in base64 at {path}, it holds something else") from error
    return keys


def write_keys(path: Path, keys: Sequence[str]) -> None:
    """Replace the keys of a file in one step."""
    partial = partial_path(path)
    with open_private(partial, "w", encoding="ascii") as stream:
        stream.write("\n".join(keys) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def new_key() -> str:
    """Return a new key."""
    return Fernet.generate_key().decode()


def cipher_of(keys: Sequence[str]) -> MultiFernet:
    """Return what encrypts with the first key and decrypts with any."""
    return MultiFernet([Fernet(key) for key in keys])


def fingerprint(key: str) -> str:
    """Return what a key is known by without being told: 16 hex digits."""
    return hashlib.sha256(b"medkd vault key\0" + key.encode()).hexdigest()[:16]


def require_key_apart(path: Path, *folders: Path) -> None:
    """Refuse a key that lies in a folder that it must not be in, by whatever way they are named.

    Raises:
        VaultError: ``VAULT_KEY_PLACE``.
    """
    real = Path(os.path.realpath(path))
    for folder in folders:
        if Path(os.path.realpath(folder)) in real.parents:
            raise VaultError(
                "VAULT_KEY_PLACE", f"expected the vault's key outside of {folder}, it lies in it; move it and name it in MEDKD_VAULT_KEY"
            )
