"""A safetensors file that is mapped while it is filled: the volume is never in memory twice, and processes can fill it together."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NAMES = {"int16": "I16", "float32": "F32", "uint8": "U8"}


class MappedVolume:
    """Arrays in one file of the safetensors format (8 bytes of header length, JSON header, arrays one after another).

    Args:
        path: final path; until :meth:`commit` the bytes lie beside it under another name.
        arrays: name → (dtype, shape).
    """

    def __init__(self, path: Path, arrays: dict[str, tuple[str, tuple[int, ...]]]) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        self.arrays = arrays
        path.parent.mkdir(parents=True, exist_ok=True)
        header: dict[str, Any] = {}
        self._offsets: dict[str, int] = {}
        end = 0
        for name, (dtype, shape) in sorted(arrays.items(), key=lambda item: -np.dtype(item[1][0]).itemsize):
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [end, end + size]}
            self._offsets[name], end = end, end + size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self.begin = 8 + len(text)
        with self.partial.open("wb") as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            stream.truncate(self.begin + end)

    def offset(self, name: str) -> int:
        """Return where one array begins in the file."""
        return self.begin + self._offsets[name]

    def open(self, name: str) -> NDArray[Any]:
        """Return one array, mapped for reading and writing."""
        dtype, shape = self.arrays[name]
        return np.memmap(self.partial, dtype=dtype, mode="r+", offset=self.offset(name), shape=shape)

    def commit(self) -> str:
        """Make the file durable under its final name and return the sha256 of its bytes."""
        with self.partial.open("r+b") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            os.fsync(stream.fileno())
        self.partial.replace(self.path)
        return digest

    def discard(self) -> None:
        """Remove what was written."""
        self.partial.unlink(missing_ok=True)
