"""A file of the source as everything after :mod:`medkd.dicom.discover` knows it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset

from data_contracts import IngestCode
from medkd.dicom.pixel_place import PixelPlace

#: Codes of what is found and never read.
UNREAD = frozenset({IngestCode.FILE_UNREADABLE, IngestCode.LINK_INSIDE, IngestCode.LINK_OUTSIDE, IngestCode.LINK_CYCLE})


@dataclass(frozen=True, eq=False)
class FoundFile:
    """A file of the source.

    Attributes:
        path: where it lies.
        relative: path below the source, with forward slashes; what reports name.
        digest: XXH3 (128 bits) of its bytes: what tells files apart here. Not cryptographic: it meets no adversary, and equal files are
            compared byte by byte where it matters.
        header: everything before the pixel data, or None.
        code: why there is no usable header.
        evidence: what was met, without identifiers.
        pixels: where its pixel data lie, or None.
        notes: oddities of the encoding that change no value.
    """

    path: Path
    relative: str
    digest: str
    header: Dataset | None
    code: IngestCode | None = None
    evidence: str = ""
    pixels: PixelPlace | None = None
    notes: tuple[IngestCode, ...] = field(default=())

    def forget_header(self, read: Callable[[Path, str], FoundFile]) -> None:
        """Give the header's memory back; whoever asks for it later has it read again.

        Args:
            read: reads a file, given its path and what reports call it.
        """
        if self.__dict__.get("header") is not None:
            del self.__dict__["header"]
            self.__dict__["_read"] = read

    def __getattr__(self, name: str) -> Any:
        """Return a header that was forgotten.

        Raises:
            ValueError: when the file holds other bytes by now.
        """
        if name != "header" or "_read" not in self.__dict__:
            raise AttributeError(name)
        again: FoundFile = self.__dict__["_read"](self.path, self.relative)
        if again.digest != self.digest:
            raise ValueError(f"expected the bytes that were read before ({self.digest}), the file was changed meanwhile ({again.digest})")
        self.__dict__["header"] = again.header
        return again.header

    @property
    def readable(self) -> bool:
        """Return whether there are bytes of it that may be read."""
        try:
            return self.code not in UNREAD and self.path.is_file() and os.access(self.path, os.R_OK)
        except OSError:
            return False

    @property
    def sha256(self) -> str:
        """Return the sha256 of the file's bytes, read again: only what is quarantined or kept as a source needs it.

        Of what has no bytes, that of its name: each has a place of its own in the quarantine.
        """
        return _sha256(self.path) if self.readable else hashlib.sha256(f"unread: {self.relative}".encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
