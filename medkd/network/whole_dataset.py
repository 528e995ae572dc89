"""Whether a DICOM data set ends where its own lengths say, and who it is: read without its values, straight from the bytes.

What came over a network may have been cut off by its sender and still be announced as complete. pydicom reads such a data set without a word
(a value that is too short is an element all the same), so the lengths are added up here, which takes some tenths of a millisecond an object.
"""

from __future__ import annotations

import mmap
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from struct import error as StructError

from pydicom.uid import AllTransferSyntaxes

from data_contracts import DataError

#: PS3.5 9.1: digits and full stops, at most 64 of them.
UID_FORM = re.compile(r"[0-9][0-9.]{0,63}\Z")
_PREAMBLE = 132
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CLASS, _INSTANCE, _STUDY = 0x00080016, 0x00080018, 0x0020000D
_WANTED = {_CLASS: "sop_class_uid", _INSTANCE: "sop_instance_uid", _STUDY: "study_instance_uid"}
#: Representations with a length of four bytes (PS3.5 7.1.2).
_LONG = frozenset(name.encode() for name in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_DEFLATED = frozenset(str(uid) for uid in AllTransferSyntaxes if uid.is_deflated)
#: Sequences inside of sequences, more than any definition has.
_DEEPEST = 64
#: An inflated data set may be so much larger than what was sent.
_MOST_INFLATED = 1 << 31

Bytes = bytes | mmap.mmap


@dataclass(frozen=True)
class ObjectIdentity:
    """What a data set says that it is.

    Attributes:
        sop_class_uid: (0008,0016).
        sop_instance_uid: (0008,0018).
        study_instance_uid: (0020,000D).
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str


class _Form:
    """How elements are encoded."""

    def __init__(self, *, explicit: bool, little: bool = True) -> None:
        order = "<" if little else ">"
        self.explicit, self.tag = explicit, Struct(f"{order}HH")
        self.short, self.long = Struct(f"{order}H"), Struct(f"{order}L")


_EXPLICIT, _IMPLICIT, _BIG = _Form(explicit=True), _Form(explicit=False), _Form(explicit=True, little=False)


def identify_file(path: Path) -> ObjectIdentity:
    """Return what a DICOM file is, if it is whole.

    Raises:
        DataError: ``OBJECT_TRUNCATED`` as :func:`identify`, and where it is no DICOM file at all.
    """
    with path.open("rb") as stream:
        head = stream.read(_PREAMBLE)
        if head[128:] != b"DICM":
            raise DataError("OBJECT_TRUNCATED", f"expected a DICOM file, {path.name} begins with {head[:8]!r} and has no DICM in its place")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as payload:
            begin, syntax = meta_of(payload)
            return identify(payload, syntax, begin)


def meta_of(payload: Bytes) -> tuple[int, str]:
    """Return where the data set of a file begins, and its transfer syntax.

    Raises:
        DataError: ``OBJECT_TRUNCATED`` where the file meta information is none.
    """
    found: dict[int, str] = {}
    try:
        end = _walk(payload, _PREAMBLE, _EXPLICIT, found, {0x00020010: "syntax"}, stop_behind=2)
        return end, found[0x00020010]
    except (StructError, KeyError, IndexError) as error:
        raise DataError("OBJECT_TRUNCATED", f"expected file meta information with a transfer syntax in {len(payload)} bytes") from error


def identify(payload: Bytes, transfer_syntax: str, begin: int = 0) -> ObjectIdentity:
    """Return what an encoded data set is, if it is whole.

    Args:
        payload: bytes that end with the data set.
        transfer_syntax: of it.
        begin: where in them it begins.

    Raises:
        DataError: ``OBJECT_TRUNCATED`` where the bytes end before, or go on behind, what the lengths in them say;
            ``OBJECT_IDENTITY`` where class, instance or study are missing or no UIDs.
    """
    form, found = _form_of(transfer_syntax), dict[int, str]()
    if transfer_syntax in _DEFLATED:
        payload, begin = _inflate(payload[begin:]), 0
    try:
        end = _walk(payload, begin, form, found, _WANTED)
    except (StructError, IndexError) as error:
        raise DataError("OBJECT_TRUNCATED", f"expected a whole data set, its {len(payload) - begin} bytes break off: {error}") from error
    if any(payload[end:]):
        raise DataError("OBJECT_TRUNCATED", f"expected the end of the data set at byte {end - begin}, there are {len(payload) - end} more")
    named = {name: found.get(tag, "") for tag, name in _WANTED.items()}
    strange = {name: value[:64] for name, value in named.items() if not UID_FORM.match(value)}
    if strange:
        raise DataError("OBJECT_IDENTITY", f"expected a UID each for class, instance and study, got {strange}")
    return ObjectIdentity(**named)


def _form_of(transfer_syntax: str) -> _Form:
    # All but two are explicit and in little endian (PS3.5 10).
    return {"1.2.840.10008.1.2": _IMPLICIT, "1.2.840.10008.1.2.2": _BIG}.get(transfer_syntax, _EXPLICIT)


def _inflate(payload: bytes) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = stream.decompress(payload, _MOST_INFLATED)
    except zlib.error as error:
        raise DataError("OBJECT_TRUNCATED", f"expected a deflated data set in {len(payload)} bytes: {error}") from error
    if not stream.eof:
        raise DataError("OBJECT_TRUNCATED", f"expected the end of a deflated data set, {len(payload)} bytes do not reach it")
    return found


def _walk(
    payload: Bytes,
    offset: int,
    form: _Form,
    found: dict[int, str],
    wanted: dict[int, str],
    *,
    stop_behind: int = 0xFFFF,
    depth: int = 0,
) -> int:
    """Step from element to element until the end, an item's delimiter or a group behind ``stop_behind``; return where it stopped.

    Raises:
        IndexError, struct.error: where a length leads beyond the end.
    """
    end = len(payload)
    while offset < end:
        group, element = form.tag.unpack_from(payload, offset)
        number = group << 16 | element
        if group > stop_behind or number == 0:
            return offset
        if number == _ITEM_END:
            return offset + 8
        begin, length, kind = _length_of(payload, offset, form)
        if length == _UNDEFINED:
            inner = _IMPLICIT if kind == b"UN" else form  # PS3.5 6.2.2
            offset = _behind_sequence(payload, begin, inner, depth + 1)
            continue
        offset = begin + length
        if offset > end:
            raise IndexError(f"({group:04X},{element:04X}) of {length} bytes ends {offset - end} bytes behind them")
        if number in wanted and length <= 128:
            found[number] = payload[begin:offset].rstrip(b"\0 ").decode("ascii", "replace")
    return offset


def _length_of(payload: Bytes, offset: int, form: _Form) -> tuple[int, int, bytes]:
    """Return where the value of an element begins, how long it is, and of which representation."""
    if not form.explicit:
        return offset + 8, form.long.unpack_from(payload, offset + 4)[0], b""
    kind = bytes(payload[offset + 4 : offset + 6])
    if kind in _LONG:
        return offset + 12, form.long.unpack_from(payload, offset + 8)[0], kind
    return offset + 8, form.short.unpack_from(payload, offset + 6)[0], kind


def _behind_sequence(payload: Bytes, offset: int, form: _Form, depth: int) -> int:
    """Step over the items of a sequence, or the fragments of pixel data, of undefined length."""
    if depth > _DEEPEST:
        raise IndexError(f"sequences inside of sequences, {depth} deep")
    while True:
        group, element = form.tag.unpack_from(payload, offset)
        (length,) = form.long.unpack_from(payload, offset + 4)
        number, offset = group << 16 | element, offset + 8
        if number == _SEQUENCE_END:
            return offset
        if number != _ITEM:
            raise IndexError(f"({group:04X},{element:04X}) where an item begins")
        if length == _UNDEFINED:
            behind = _walk(payload, offset, form, {}, {}, depth=depth)
            if form.tag.unpack_from(payload, behind - 8) != (0xFFFE, 0xE00D):
                raise IndexError("an item without an end")
            offset = behind
        else:
            offset += length
            if offset > len(payload):
                raise IndexError(f"an item ends {offset - len(payload)} bytes behind them")
