"""The residual scan: the bytes that were written are read again, and none of the original identifiers may be among them."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: UIDs that de-identification made are long random numbers: short numbers occur in them by chance.
_OWN_UIDS = re.compile(rb"2\.25\.\d{20,}")
#: Pixels hold any four bytes by chance; identifiers shorter than this are looked for outside of them only.
_SHORTEST_IN_PIXELS = 6
_ENCODINGS = (
    "utf-8",
    "latin-1",
    "shift_jis",
    "iso2022_jp",
    "euc_kr",
    "gb18030",
    "iso8859_7",
    "iso8859_5",
    "iso8859_6",
    "iso8859_8",
    "utf-16-le",
)


def find_residuals(payload: bytes, originals: Mapping[str, str], pixels_from: int | None = None) -> dict[str, str]:
    """Return keyword → how it was found, for every original identifier among the bytes of a written file.

    Args:
        payload: bytes of the file.
        originals: identifier → keyword it stood under.
        pixels_from: offset at which pixel data begin, where there are any.
    """
    text = _OWN_UIDS.sub(b"", payload if pixels_from is None else payload[:pixels_from])
    lowered = text.lower()
    pixels = b"" if pixels_from is None else payload[pixels_from:]
    found: dict[str, str] = {}
    for original, keyword in originals.items():
        for spelling in _spellings(original):
            if spelling.lower() in lowered or (len(spelling) >= _SHORTEST_IN_PIXELS and spelling in pixels):
                found[keyword] = "in the header" if spelling.lower() in lowered else "in the pixel data"
    return found


def _spellings(original: str) -> set[bytes]:
    """Return the bytes of an identifier in every character set it may have been written in."""
    found = {original.encode("utf-8")}
    if original.isascii():
        return found
    for encoding in _ENCODINGS:
        try:
            encoded = original.encode(encoding)
        except UnicodeEncodeError:
            continue
        if len(encoded) >= 4:
            found.add(encoded)
    return found
