"""A safetensors file filled slice by slice: in order by one process, or mapped and in any order by several. The volume is never in
memory as a whole."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from data_contracts.private import open_private
from data_contracts.record import partial_path

#: What file systems answer that reserve no room.
_NO_RESERVING = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV})
_NAMES = {"int16": "I16", "float32": "F32", "uint8": "U8"}


class MappedVolume:
    """Arrays in one file of the safetensors format (8 bytes of header length, JSON header, arrays one after another).

    Args:
        path: final path; until :meth:`commit` the bytes lie beside it under another name.
        arrays: name → (dtype, shape).
    """

    def __init__(self, path: Path, arrays: dict[str, tuple[str, tuple[int, ...]]]) -> None:
        self.path = path
        self.partial = partial_path(path)
        self.arrays = arrays
        header: dict[str, Any] = {}
        self._offsets: dict[str, int] = {}
        end = 0
        # Larger items first: each array then begins at a multiple of its item's size, and can be mapped.
        for name, (dtype, shape) in sorted(arrays.items(), key=lambda item: -np.dtype(item[1][0]).itemsize):
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [end, end + size]}
            self._offsets[name], end = end, end + size
        text = json.dumps(header, separators=(",", ":")).encode()
        # Spaces behind the header are allowed by the format; the arrays begin at a multiple of eight bytes.
        text += b" " * (-len(text) % 8)
        self.begin = 8 + len(text)
        self._end = self.begin + end
        self._written, self._digest = self.begin, hashlib.sha256(len(text).to_bytes(8, "little") + text)
        try:
            with open_private(self.partial) as stream:
                stream.write(len(text).to_bytes(8, "little") + text)
                _reserve(stream, self._end)
        except OSError:
            self.partial.unlink(missing_ok=True)
            raise
        self._stream: BinaryIO | None = None

    def offset(self, name: str) -> int:
        """Return where one array begins in the file."""
        return self.begin + self._offsets[name]

    def open(self, name: str) -> NDArray[Any]:
        """Return one array, mapped for reading and writing."""
        dtype, shape = self.arrays[name]
        return np.memmap(self.partial, dtype=dtype, mode="r+", offset=self.offset(name), shape=shape)

    def append(self, part: NDArray[Any]) -> None:
        """Write the next bytes of the arrays, in the order they lie in the file; they are hashed while they are at hand."""
        if self._stream is None:
            self._stream = self.partial.open("r+b", buffering=0)
            self._stream.seek(self.begin)
        view = np.ascontiguousarray(part).data.cast("B")
        done = 0
        while done < len(view):  # an unbuffered file may take a part
            done += self._stream.write(view[done:])
        self._digest.update(view)
        self._written += len(view)

    def commit(self) -> str:
        """Make the file durable under its final name and return the sha256 of its bytes."""
        self._close()
        with self.partial.open("r+b") as stream:
            whole = self._written == self._end
            digest = self._digest.hexdigest() if whole else hashlib.file_digest(stream, "sha256").hexdigest()
            # Before the rename: after a power cut the final name must not stand for bytes that never reached the disc.
            os.fsync(stream.fileno())
        self.partial.replace(self.path)
        return digest

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def discard(self) -> None:
        """Remove what was written."""
        self._close()
        self.partial.unlink(missing_ok=True)


def _reserve(stream: IO[Any], size: int) -> None:
    """Make room for a whole file at once: a disc that is too small is known before anything is decoded, and what is written into a map has its
    place. File systems that cannot do that grow the file as it is written.

    Raises:
        OSError: there is not enough room.
    """
    stream.flush()
    try:
        os.posix_fallocate(stream.fileno(), 0, size)
    except OSError as error:
        if error.errno not in _NO_RESERVING:
            raise
        stream.truncate(size)
