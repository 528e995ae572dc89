"""Where the pixel data of a file lie, found without reading them."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset

from medkd.dicom.plain_header import PIXEL_DATA
from medkd.dicom.transfer_syntax import transfer_syntax

#: Length of encapsulated pixel data, and the tags of their items and of what ends them (PS3.5 A.4).
_UNDEFINED = 0xFFFFFFFF
_ITEM, _DELIMITER = 0xFFFEE000, 0xFFFEE0DD


@dataclass(frozen=True)
class PixelPlace:
    """Where the pixel data of a file lie.

    Attributes:
        offset: of the first byte of the value; None where it is not in the file as it is (deflated).
        length: bytes of the value; None where they are encapsulated.
        whole: False where the value reaches beyond the end of the file.
    """

    offset: int | None
    length: int | None
    whole: bool = True


def find_pixels(stream: BinaryIO, header: Dataset, size: int, path: Path) -> PixelPlace | None:
    """Find the pixel data behind the header that was just read from the stream, and whether they are all there.

    Args:
        stream: at the end of the header; the file, or its first bytes.
        header: of the object.
        size: of the file in bytes.
        path: of the file, for what lies behind its first bytes.
    """
    syntax = transfer_syntax(header)
    # Everything behind the file header is one compressed stream (PS3.5 A.5): no byte of it has a place in the file.
    if syntax.is_deflated:
        return PixelPlace(None, None)
    order = "<" if syntax.is_little_endian else ">"
    begin = stream.tell()
    start = stream.read(12)
    if len(start) < 8:
        return None
    group, element = struct.unpack(f"{order}HH", start[:4])
    if (group << 16 | element) not in PIXEL_DATA:
        return None
    # Explicit VR writes two letters, two reserved bytes and a length of four for these representations; implicit VR the length at
    # once (PS3.5 7.1.2, 7.1.3). What is asked is what stands there: headers contradict their transfer syntax.
    explicit = start[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN")
    if explicit and len(start) < 12:
        return PixelPlace(begin, 0, whole=False)
    length = struct.unpack(f"{order}I", start[8:12] if explicit else start[4:8])[0]
    offset = begin + (12 if explicit else 8)
    if length != _UNDEFINED:
        return PixelPlace(offset, min(length, size - offset), whole=offset + length <= size)
    if not isinstance(stream, io.BytesIO) or stream.getbuffer().nbytes == size:
        return PixelPlace(offset, None, whole=_items_whole(stream, offset, size))
    with path.open("rb", buffering=0) as file:  # lengths lie far apart: nothing is read ahead
        return PixelPlace(offset, None, whole=_items_whole(file, offset, size))


def _items_whole(stream: BinaryIO, offset: int, size: int) -> bool:
    """Walk the items of encapsulated pixel data: each must end inside the file. A missing last delimiter is forgiven."""
    while offset + 8 <= size:
        stream.seek(offset)
        # Encapsulated transfer syntaxes are little endian, all of them (PS3.5 A.4).
        group, element, length = struct.unpack("<HHI", stream.read(8))
        tag = group << 16 | element
        if tag == _DELIMITER:
            return True
        if tag != _ITEM or length == _UNDEFINED:
            return False
        offset += 8 + length
    return offset == size
