"""Values of a header as they were written, without building pydicom's value classes: a series has hundreds of headers alike.

Only for attributes whose values are plain ASCII (codes, numbers, UIDs) or are merely compared with one another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

_BINARY = frozenset({"US", "SS", "UL", "SL", "FL", "FD", "AT", "OB", "OW", "SQ"})
_TEXT_NUMBERS = frozenset({"IS", "DS", "LO", "SH", "CS", "UC", "UT", "LT", "ST"})
#: RescaleIntercept: the one number that is commonly a thousand.
_INTERCEPT = 0x00281052
#: A comma that may part thousands: no zero before it, three digits and nothing else behind.
_THOUSANDS = re.compile(r"^[+-]?[1-9]\d{0,2},\d{3}$")


@lru_cache(maxsize=8192)
def _one_tag(number: int) -> BaseTag:
    return BaseTag(number)


@lru_cache(maxsize=8192)
def tag_of(name: int | str) -> BaseTag:
    """Return the tag of a number or keyword, one object for each: building them and comparing different ones costs more than reading values.

    Raises:
        ValueError: no such keyword.
    """
    return _one_tag(int(Tag(name)))


#: TransferSyntaxUID of the file header.
TRANSFER_SYNTAX = tag_of(0x00020010)


def has(header: Dataset, keyword: str) -> bool:
    """Return whether a header has an attribute."""
    return tag_of(keyword) in header


def groups_of(header: Dataset) -> frozenset[int]:
    """Return the groups that a header has elements of."""
    return frozenset(tag >> 16 for tag in header.keys())  # noqa: SIM118 - iterating over a header builds elements


def _element(header: Dataset, tag: int) -> Any:
    """Return an element as it was written where that is known, None where there is none."""
    return header.get_item(tag if isinstance(tag, BaseTag) else tag_of(tag))


def raw_text(header: Dataset, tag: int, *, known: bool = False) -> str:
    """Return a value as text, parts of a multiple one separated by backslashes, "" where there is none that can be parsed.

    ``known`` asks the dictionary where the encoding does not say what a value is (implicit VR, UN): binary numbers are then numbers.
    """
    try:
        element = _element(header, tag)
        if element is None:
            return ""
        kind = element.VR
        if known and kind in (None, "UN") and dictionary_has_tag(tag):
            kind = dictionary_VR(tag)
        if isinstance(element, RawDataElement) and isinstance(element.value, bytes) and kind not in _BINARY:
            return element.value.decode("latin-1").strip("\0 ")
        value = header[tag].value
    except Exception:  # a value that contradicts its representation says nothing
        return ""
    if value is None:
        return ""
    return "\\".join(map(str, value)) if not isinstance(value, str) and hasattr(value, "__iter__") else str(value).strip("\0 ")


def text_of(header: Dataset, keyword: str) -> str:
    """Return a value as decoded text; where its representation is broken, as it was written."""
    try:
        return str(header.get(keyword, "") or "")
    except Exception:  # parsing happens on access
        return raw_text(header, tag_of(keyword))


@dataclass(frozen=True)
class Numbers:
    """The numbers of a decimal string.

    Attributes:
        values: in their order; empty where there is none.
        comma: whether they were written with decimal commas.
        unreadable: the text where a part is no number, "" otherwise.
    """

    values: tuple[float, ...] = ()
    comma: bool = False
    unreadable: str = ""


def read_numbers(dataset: Dataset, tag: int) -> Numbers:
    """Return the numbers of a decimal string (DS, IS) or of binary values (FD, FL, US, SS), of a header or of an item.

    PS3.5 6.2 knows the decimal point only; software with the settings of other languages writes commas, which separate nothing in DICOM and
    so are read as points. What a comma in an intercept of ``-1,024`` means is not guessed: it may part thousands.
    """
    text = raw_text(dataset, tag, known=True)
    parts = [part.strip() for part in text.split("\\")] if text else []
    comma = any("," in part for part in parts)
    try:
        if tag == _INTERCEPT and any(_THOUSANDS.match(part) for part in parts):
            raise ValueError
        return Numbers(tuple(float(part.replace(",", ".")) if part.count(",") == 1 else float(part) for part in parts), comma)
    except ValueError:
        return Numbers(comma=comma, unreadable=text[:32])


def stored_number(header: Dataset, tag: int, *, signed: bool, bits: int) -> int | None:
    """Return a value of the kind "US or SS" as the pixels' sign makes it, whatever representation it is written in; None where there is none.

    PixelRepresentation says which of the two it is (PS3.6, PS3.3 C.7.5.1.1.2), and headers that were rewritten contradict it: -2000 and
    63536 are the same two bytes.

    Args:
        header: of the object.
        tag: of the attribute.
        signed: whether pixels are in two's complement.
        bits: stored per pixel: a value that only these bits make negative is meant so.
    """
    if (key := tag_of(tag)) not in header:
        return None
    element: Any = header.get_item(key)
    if isinstance(element, RawDataElement) and isinstance(element.value, bytes) and element.VR not in _TEXT_NUMBERS:
        number = int.from_bytes(element.value[:2], "little" if element.is_little_endian else "big") if len(element.value) >= 2 else None
    else:
        try:
            value = header[tag].value
            number = None if value in (None, "") else int(float(str(value)))
        except Exception:  # a value that contradicts its representation says nothing
            return None
    if number is None:
        return None
    wide = max(bits, 16)
    number &= (1 << wide) - 1
    if not signed:
        return number
    # Written in all bits of the word, or in those that are stored only.
    sign = bits if number >> bits == 0 else wide
    return number - (1 << sign) if number >> (sign - 1) & 1 else number


def raw_int(header: Dataset, tag: int, default: int) -> int:
    """Return an unsigned short (US) or an integer string (IS), ``default`` where there is none."""
    element = _element(header, tag)
    if element is None:
        return default
    if isinstance(element, RawDataElement) and element.VR == "US" and isinstance(element.value, bytes) and len(element.value) == 2:
        return int.from_bytes(element.value, "little" if element.is_little_endian else "big")
    value = header[tag].value
    return default if value in (None, "") else int(value)
