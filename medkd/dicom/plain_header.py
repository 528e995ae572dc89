"""Headers of ordinary files, split into pydicom's own raw elements without the detours that ``dcmread`` takes for all others.

Most elements of a header are a tag, two letters and a short value: those are cut out of the first bytes of the file here. Whatever else
comes (sequences of undefined length, unknown representations, values beyond what was read) is handed to pydicom, from that element on; where
that fails, pydicom reads the whole header again and says what is wrong in its own way. The result is what ``dcmread`` returns, and is
compared with it in a test, on every encoding, on real files and on broken ones.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from struct import Struct
from typing import BinaryIO, cast

from pydicom import Dataset
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import data_element_generator, read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, AllTransferSyntaxes, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from medkd.dicom.raw_values import TRANSFER_SYNTAX, tag_of

PIXEL_DATA = frozenset({0x7FE00010, 0x7FE00008, 0x7FE00009})
#: Encodings that differ from one another in nothing that a header shows.
_ORDINARY = frozenset(syntax for syntax in AllTransferSyntaxes if syntax.is_little_endian and not syntax.is_deflated)
#: As they are written, of even length.
_WRITTEN = {str(syntax).encode() + b"\0" * (len(syntax) % 2): syntax for syntax in AllTransferSyntaxes}
_CHARACTER_SET = 0x00080005
_META_GROUP = 2
#: Tag and representation of an element that nothing was written to.
_BLANK = bytes(6)
_PREAMBLE = 132
#: Tag, representation and length of an explicit element in little endian; the length of those that have a long one.
_SHORT, _LONG = Struct("<HH2sH"), Struct("<L")
_REPRESENTATIONS = {kind.value.encode(): kind.value for kind in VR if len(kind.value) == 2}
_LONG_ONES = frozenset(kind.value for kind in EXPLICIT_VR_LENGTH_32)
_UNDEFINED = 0xFFFFFFFF
#: Delimiters have no representation: what stands behind their tags is a length.
_DELIMITERS = 0xFFFE

_Elements = dict[BaseTag, RawDataElement | DataElement]


def plain_header(stream: BinaryIO) -> Dataset | None:
    """Read the header of an ordinary file.

    Returns:
        What ``dcmread(stream, stop_before_pixels=True)`` returns, with the stream at the pixel data; None, with the stream at its begin,
        where anything is out of the ordinary.
    """
    if isinstance(stream, io.BytesIO):
        try:
            found = _cut(stream)
        except Exception:  # broken in whatever way: pydicom says in which
            found = None
        if found is not None:
            return found
        stream.seek(0)
    return _read(stream)


def known_syntax(element: RawDataElement | DataElement | None) -> UID | None:
    """Return the transfer syntax that an element states, None where it is none that the standard knows, or was parsed already."""
    return _WRITTEN.get(element.value or b"") if isinstance(element, RawDataElement) else None


def _cut(stream: io.BytesIO) -> Dataset | None:
    """Return the header of an explicit little-endian file whose first bytes are in memory, None for any other."""
    payload = stream.getvalue()
    if payload[128:_PREAMBLE] != b"DICM":
        return None
    meta: _Elements = {}
    end, whole = _elements(payload, _PREAMBLE, _behind_meta, meta)
    syntax = known_syntax(meta.get(TRANSFER_SYNTAX))
    if not whole or syntax not in _ORDINARY or syntax == ImplicitVRLittleEndian or payload[end + 4 : end + 6] not in _REPRESENTATIONS:
        return None
    elements: _Elements = {}
    end, whole = _elements(payload, end, _at_pixels, elements)
    stream.seek(end)
    if not whole:
        rest = data_element_generator(stream, False, True, stop_when=_at_pixels_of, encoding=_encoding(elements))
        elements.update((item.tag, item) for item in rest)
    header = Dataset(elements, parent_encoding=default_encoding)
    header.set_original_encoding(False, True, _encoding(elements))
    header.file_meta = FileMetaDataset(meta)
    return header


def _elements(payload: bytes, offset: int, stop: Callable[[int], bool], found: _Elements) -> tuple[int, bool]:
    """Cut elements out of bytes until ``stop`` is true of a tag, or the bytes end with an element.

    Returns:
        Where it stopped, and False where an element begins there that pydicom has to read; ``found`` holds those before it.
    """
    size, short, long, kinds = len(payload), _SHORT.unpack_from, _LONG.unpack_from, _REPRESENTATIONS
    while offset + 8 <= size:
        group, element, letters, length = short(payload, offset)
        number = group << 16 | element
        kind = kinds.get(letters)
        begin = offset + 8
        if stop(number):
            # What breaks off inside of its length is no element to pydicom.
            return offset, kind not in _LONG_ONES or begin + 4 <= size
        if kind is None or group == _DELIMITERS:
            return offset, False
        if kind in _LONG_ONES:
            if begin + 4 > size:
                return offset, False
            length = long(payload, begin)[0]
            begin += 4
        end = begin + length
        if length == _UNDEFINED or end > size:
            return offset, False
        value = payload[begin:end] if length else cast(bytes | None, empty_value_for_VR(kind, raw=True))
        tag = tag_of(number)
        found[tag] = RawDataElement(tag, kind, length, value, begin, False, True)
        offset = end
    return offset, offset == size


def _encoding(elements: _Elements) -> str | list[str]:
    """Return the character sets that a header states, as pydicom keeps them."""
    stated = elements.get(tag_of(_CHARACTER_SET))
    if stated is None:
        return default_encoding
    value = convert_raw_data_element(stated).value if isinstance(stated, RawDataElement) else stated.value
    return list(convert_encodings(value))


def _read(stream: BinaryIO) -> Dataset | None:
    """Read a header with pydicom's reader.

    Raises:
        ValueError: where an element of tag (0000,0000) stands, which no dataset has: zeros parse as element after element of it, minutes
            of them where a disc left a hole.
    """
    start = stream.read(_PREAMBLE)
    if start[128:] == b"DICM":
        meta = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=_behind_meta_of)
        syntax = meta.get("TransferSyntaxUID")
        first = stream.read(6)
        stream.seek(-len(first), os.SEEK_CUR)
        if first == _BLANK:
            raise ValueError("zeros behind the file header")
        looks_explicit = first[4:6].isalpha() and first[4:6].isupper()
        if isinstance(syntax, UID) and syntax in _ORDINARY and looks_explicit is (syntax != ImplicitVRLittleEndian) and len(first) == 6:
            header = read_dataset(stream, syntax.is_implicit_VR, syntax.is_little_endian, stop_when=_at_pixels_of)
            header.file_meta = FileMetaDataset(meta)
            return header
    stream.seek(0)
    return None


def _behind_meta(number: int) -> bool:
    return number >> 16 != _META_GROUP


def _at_pixels(number: int) -> bool:
    return number in PIXEL_DATA


def _behind_meta_of(tag: BaseTag, *_: object) -> bool:
    return tag >> 16 != _META_GROUP


def _at_pixels_of(tag: BaseTag, *_: object) -> bool:
    # As a plain number: tags compare in Python.
    number = int(tag)
    if number == 0:
        raise ValueError("zeros in the place of an element")
    return number in PIXEL_DATA
