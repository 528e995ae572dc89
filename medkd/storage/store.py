"""The store: safetensors files below one root, addressed by :class:`~data_contracts.Ref` and verified when they are read."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from safetensors import SafetensorError

from data_contracts import Ref, StoreError
from data_contracts.private import open_private
from data_contracts.record import partial_path

if TYPE_CHECKING:  # an ingestion writes its volumes without torch, whose import costs more than ingesting a series
    from numpy.typing import NDArray
    from torch import Tensor

Values = TypeVar("Values")


def sha256_file(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_bytes(path: Path, payload: bytes) -> Path:
    """Write by atomic rename, for the owner only: a reader sees the old file or the new one, never half of one."""
    partial = partial_path(path)
    with open_private(partial) as stream:
        stream.write(payload)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    return path


def _digest_now(path: Path) -> str | None:
    """Return the digest of a file, None where there is none; one that has not changed since is not read again."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return _digest_at(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=65536)
def _digest_at(path: Path, size: int, changed_ns: int) -> str:
    del size, changed_ns  # they are what it is remembered by
    return sha256_file(path)


class SharedObjects(Protocol):
    """Bytes by their sha256 that several machines share (:class:`medkd.storage.objects.ObjectStore`)."""

    def has(self, sha256: str) -> bool:
        """Return whether an object is there."""
        ...

    def put(self, path: Path, sha256: str) -> None:
        """Write an object, where it is not there."""
        ...

    def take(self, sha256: str, target: Path) -> bool:
        """Bring an object to a place of this machine, verified; return False where there is none."""
        ...

    def write_record(self, name: str, payload: bytes) -> None:
        """Write a named record, its digest before it."""
        ...

    def read_record(self, name: str) -> bytes | None:
        """Return a named record, None where there is none."""
        ...


class Store:
    """A folder of tensors. ``name`` is what a ``Ref`` carries; ``root`` is this machine's business.

    Args:
        root: folder, made on the first write.
        name: logical name, for example ``store`` or ``runs``.
        objects: that other machines share: what is not in the folder is brought from there.
    """

    def __init__(self, root: Path, name: str = "store", objects: SharedObjects | None = None) -> None:
        self.root = Path(root)
        self.name = name
        self.objects = objects

    def path(self, ref: Ref) -> Path:
        """Return where the bytes of a reference lie; they are brought from the shared objects where the folder lacks them.

        Raises:
            StoreError: ``STORE_FOREIGN`` for a reference into another store; ``STORE_OBJECT_ALTERED``, ``STORE_UNREACHABLE`` of the objects.
        """
        if ref.store != self.name:
            raise StoreError("STORE_FOREIGN", f"expected a reference into store {self.name!r}, got one into {ref.store!r}")
        path = self.root / ref.key
        # Of an altered file too: on this machine another setting of the recipe may have left another file of that name.
        if self.objects is not None and _digest_now(path) != ref.sha256:
            self.objects.take(ref.sha256, path)
        return path

    def write_tensors(self, key: str, tensors: Mapping[str, Tensor]) -> Ref:
        """Write tensors as one safetensors file by atomic rename and return its reference."""
        import safetensors.torch

        payload = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
        write_bytes(self.root / key, payload)
        return Ref(store=self.name, key=key, sha256=hashlib.sha256(payload).hexdigest())

    def write_arrays(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> Ref:
        """As :meth:`write_tensors`, the same bytes for the same values, without torch."""
        import numpy as np
        import safetensors.numpy

        payload = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        write_bytes(self.root / key, payload)
        return Ref(store=self.name, key=key, sha256=hashlib.sha256(payload).hexdigest())

    def refer(self, key: str) -> Ref:
        """Return the reference of bytes that were written before.

        Raises:
            StoreError: ``STORE_MISSING`` when there are none.
        """
        path = self.root / key
        if not path.is_file():
            raise StoreError("STORE_MISSING", f"expected stored bytes at {key} in store {self.name!r}, found no file")
        return Ref(store=self.name, key=key, sha256=sha256_file(path))

    def read_tensors(self, ref: Ref) -> dict[str, Tensor]:
        """Read the tensors of a reference.

        Raises:
            StoreError: ``STORE_MISSING`` or ``STORE_ALTERED`` when the bytes are gone or differ from the digest.
        """
        import safetensors.torch

        return _loaded(safetensors.torch.load, self._verified(ref), ref)

    def read_arrays(self, ref: Ref) -> dict[str, NDArray[Any]]:
        """As :meth:`read_tensors`, without torch."""
        import safetensors.numpy

        return _loaded(safetensors.numpy.load, self._verified(ref), ref)

    def _verified(self, ref: Ref) -> bytes:
        path = self.path(ref)
        if not path.is_file():
            raise StoreError("STORE_MISSING", f"expected stored bytes at {ref.key} in store {self.name!r}, found no file")
        payload = path.read_bytes()
        found = hashlib.sha256(payload).hexdigest()
        if found != ref.sha256:
            raise StoreError("STORE_ALTERED", f"expected sha256 {ref.sha256[:12]} for {ref.key}, the file has {found[:12]}: it was altered")
        return payload

    def verify(self, ref: Ref) -> bool:
        """Return whether the bytes of a reference are there and unaltered."""
        path = self.path(ref)
        return path.is_file() and sha256_file(path) == ref.sha256


def _loaded(load: Callable[[bytes], dict[str, Values]], payload: bytes, ref: Ref) -> dict[str, Values]:
    try:
        return load(payload)
    except SafetensorError as error:
        raise StoreError("STORE_UNREADABLE", f"expected a safetensors file at {ref.key}: {error}") from error
