"""Values of a header as they were written, without building pydicom's value classes: a series has hundreds of headers alike.

Only for attributes whose values are plain ASCII (codes, numbers, UIDs) or are merely compared with one another.
"""

from __future__ import annotations

from typing import Any

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

_BINARY = frozenset({"US", "SS", "UL", "SL", "FL", "FD", "AT", "OB", "OW", "SQ"})


def raw_text(header: Dataset, tag: int) -> str:
    """Return a value as text, parts of a multiple one separated by backslashes, "" where there is none that can be parsed."""
    if tag not in header:
        return ""
    try:
        element: Any = header.get_item(tag)
        if isinstance(element, RawDataElement) and isinstance(element.value, bytes) and element.VR not in _BINARY:
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
        return raw_text(header, Tag(keyword))


def raw_numbers(header: Dataset, tag: int) -> tuple[float, ...]:
    """Return decimal strings as numbers, () where there is none.

    Raises:
        ValueError: a part is no number.
    """
    text = raw_text(header, tag)
    return tuple(float(part) for part in text.split("\\")) if text else ()


def raw_int(header: Dataset, tag: int, default: int) -> int:
    """Return an unsigned short (US) or an integer string (IS), ``default`` where there is none."""
    if tag not in header:
        return default
    element: Any = header.get_item(tag)
    if isinstance(element, RawDataElement) and element.VR == "US" and isinstance(element.value, bytes) and len(element.value) == 2:
        return int.from_bytes(element.value, "little" if element.is_little_endian else "big")
    value = header[tag].value
    return default if value in (None, "") else int(value)
