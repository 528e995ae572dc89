"""A store that several machines share: objects by their sha256, and named records of what stages made. Every byte is verified when it is read.

``objects/AB/SHA256`` holds the bytes of an object; ``records/NAME`` holds a digest and, behind it, the record that it is the digest of. An
object is written before the record that refers to it. Nothing in it says where anything lies on any machine.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from data_contracts import StoreError
from data_contracts.private import private_folder
from data_contracts.record import partial_path
from medkd.storage.object_cache import ObjectCache
from medkd.storage.remote import Remote
from medkd.storage.store import sha256_file

#: Environment variable that names the store of a run.
STORE = "MEDKD_STORE"


class ObjectStore:
    """Objects and records under one URI, with this machine's cache before them.

    Args:
        uri: as of :class:`~medkd.storage.remote.Remote`.
        cache: of this machine.
    """

    def __init__(self, uri: str, cache: ObjectCache | None = None) -> None:
        self.remote = Remote(uri)
        self._cache = cache or ObjectCache()
        self._there: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process by the URI."""
        return (open_objects, (self.remote.uri,))

    def has(self, sha256: str) -> bool:
        """Return whether an object is there."""
        if sha256 not in self._there and self.remote.exists(object_key(sha256)):
            self._there.add(sha256)
        return sha256 in self._there

    def put(self, path: Path, sha256: str) -> None:
        """Write an object, where it is not there.

        Raises:
            StoreError: ``STORE_ALTERED`` when the file's bytes are not those of the digest: nothing damaged is handed on.
        """
        if self.has(sha256):
            return
        if sha256_file(path) != sha256:
            raise StoreError(
                "STORE_ALTERED", f"expected sha256 {sha256[:12]} for {path.name}, the file was altered; run again what made it"
            )
        self.remote.upload(path, object_key(sha256))
        self._there.add(sha256)

    def take(self, sha256: str, target: Path) -> bool:
        """Bring an object to a place of this machine, verified; return False where the store has none.

        Raises:
            StoreError: ``STORE_OBJECT_ALTERED`` when its bytes in the store are not those of the digest; ``STORE_UNREACHABLE``.
        """
        found = self._cache.find(sha256) or self._cache.fill(sha256, functools.partial(self._bring, sha256))
        if found is None:
            return False
        private_folder(target.parent)
        partial = partial_path(target)
        partial.unlink(missing_ok=True)
        try:
            os.link(found, partial)
        except OSError:  # another disk
            shutil.copyfile(found, partial)
        partial.replace(target)
        return True

    def _bring(self, sha256: str, partial: Path) -> bool:
        key = object_key(sha256)
        if not self.remote.download(key, partial):
            return False
        found = sha256_file(partial)
        if found != sha256:
            raise _altered(f"{self.remote.uri}/{key}", found)
        return True

    def write_record(self, name: str, payload: bytes) -> None:
        """Write a named record, its digest before it."""
        self.remote.write(f"records/{name}", hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)

    def has_record(self, name: str) -> bool:
        """Return whether there is a record of that name."""
        return self.remote.exists(f"records/{name}")

    def records(self, folder: str) -> tuple[str, ...]:
        """Return the names of the records below a folder of names, relative to it."""
        return tuple(self.remote.files(f"records/{folder}"))

    def read_record(self, name: str) -> bytes | None:
        """Return a named record, None where there is none.

        Raises:
            StoreError: ``STORE_OBJECT_ALTERED`` when it is not what was written.
        """
        whole = self.remote.read(f"records/{name}")
        if whole is None:
            return None
        digest, _, payload = whole.partition(b"\n")
        found = hashlib.sha256(payload).hexdigest()
        if digest != found.encode():
            raise _altered(f"{self.remote.uri}/records/{name}", found)
        return payload


def object_key(sha256: str) -> str:
    """Return the key of an object: folders of two letters keep listings of shared mounts short."""
    return f"objects/{sha256[:2]}/{sha256}"


@functools.lru_cache(maxsize=8)
def open_objects(uri: str) -> ObjectStore:
    """Return the store of a URI: one for each process, which remembers what is there."""
    return ObjectStore(uri)


def store_uri() -> str | None:
    """Return the URI of the store that this machine's environment names, None without one."""
    return os.environ.get(STORE) or None


def _altered(place: str, found: str) -> StoreError:
    return StoreError(
        "STORE_OBJECT_ALTERED",
        f"expected {place} as it was written, its bytes have the sha256 {found[:12]}: it was altered; remove it, and run again what made it",
    )
