"""The residual scan: the bytes that were written are read again, and none of the original identifiers may be among them.

Names are looked for as whole words, value by value: "Ali" is not in "Confidentiality", nor in a UID, a key or a sentence that we wrote
ourselves. What is long, or not written in ASCII, is looked for in all bytes besides: no word of ours holds it by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement

from medkd.dicom.confidentiality.coded import is_structural
from medkd.dicom.confidentiality.deidentify import OWN_SENTENCES, PLACEHOLDERS
from medkd.dicom.confidentiality.scan_words import DEVICE_WORDS
from medkd.dicom.confidentiality.terms import all_terms
from medkd.dicom.confidentiality.vocabulary import VOCABULARY
from medkd.dicom.confidentiality.words import standard_meanings

#: UIDs that de-identification made are long random numbers: short numbers occur in them by chance.
_OWN_UIDS = re.compile(rb"2\.25\.\d{20,}")
#: Pixels hold any four bytes by chance; identifiers shorter than this are looked for outside of them only.
_SHORTEST_IN_PIXELS = 6
#: From here on an identifier in ASCII is looked for in all bytes of the header, whatever stands beside it.
_SHORTEST_ANYWHERE = 8
#: Keys that de-identification made, of patients and of codes that nobody publishes.
_OWN_KEY = re.compile(r"[pk][0-9a-f]{15,16}")
#: What we write into every object ourselves, in the words of the standard; file meta information is ours as a whole.
_OWN = frozenset(
    {
        "SpecificCharacterSet",
        "PatientIdentityRemoved",
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "LongitudinalTemporalInformationModified",
    }
)
_BINARY = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"})
_NUMBERS = frozenset({"DS", "IS"})
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
        payload: bytes of the file; what is no DICOM is read as one text.
        originals: identifier → keyword it stood under.
        pixels_from: offset at which pixel data begin, where there are any.
    """
    written = payload if pixels_from is None else payload[:pixels_from]
    header = _OWN_UIDS.sub(b"", written).lower()
    pixels = b"" if pixels_from is None else payload[pixels_from:]
    texts = list(_texts(written))
    found: dict[str, str] = {}
    for original, keyword in originals.items():
        word, spellings = _whole(original), _spellings(original)
        if any(word.search(text) for text in texts) or any(_stands(spelling, header) for spelling in spellings):
            found[keyword] = "in the header"
        elif any(len(spelling) >= _SHORTEST_IN_PIXELS and spelling in pixels for spelling in spellings):
            found[keyword] = "in the pixel data"
    return found


def _stands(spelling: bytes, header: bytes) -> bool:
    """Return whether an identifier that is long, or not in ASCII, stands anywhere in the bytes but within a word that names nobody."""
    spelling = spelling.lower()
    if spelling.isascii() and len(spelling) < _SHORTEST_ANYWHERE:
        return False
    if spelling.isdigit():  # of any other number it is a piece
        return re.search(rb"(?<![0-9])(?<![0-9]\.)" + spelling + rb"(?![0-9])(?!\.[0-9])", header) is not None
    place = header.find(spelling)
    while place >= 0:
        if not spelling.isalpha():  # of bytes: letters of ASCII
            return True
        first, last = place, place + len(spelling)
        while first and header[first - 1 : first].isalpha():
            first -= 1
        while header[last : last + 1].isalpha():
            last += 1
        if header[first:last] not in _known_words():
            return True
        place = header.find(spelling, place + 1)
    return False


@cache
def _known_words() -> frozenset[bytes]:
    """Return words, in lower case, of the vocabulary, the standard's terms and meanings, and our own sentences."""
    texts = {*VOCABULARY, *DEVICE_WORDS, *all_terms(), *standard_meanings(), *OWN_SENTENCES, *PLACEHOLDERS}
    return frozenset(word.encode() for text in texts for word in re.findall(r"[a-z]+", text.lower()))


def _whole(original: str) -> re.Pattern[str]:
    """Return the pattern of an identifier as a whole word.

    A number inside a longer one, or between the points of a UID, is none; writing without blanks has no words, so only letters that are
    written with blanks between words count as a border.
    """
    before = (
        r"(?<![0-9])(?<![0-9]\.)" if original[0].isdigit() else r"(?<![a-z])" if original[0].isascii() and original[0].isalpha() else ""
    )
    behind = (
        r"(?![0-9])(?!\.[0-9])" if original[-1].isdigit() else r"(?![a-z])" if original[-1].isascii() and original[-1].isalpha() else ""
    )
    return re.compile(f"{before}{re.escape(original.lower())}{behind}")


def _texts(payload: bytes) -> Iterator[str]:
    """Yield the values of a written object that may say something, in lower case."""
    try:
        dataset = dcmread(BytesIO(payload), stop_before_pixels=True)
    except Exception:  # no DICOM
        dataset = None
    if dataset:
        yield from _texts_of(dataset)
    else:
        yield payload.decode("utf-8", "replace").lower()
        yield payload.decode("latin-1").lower()


def _texts_of(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.keyword in _OWN:
            continue
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _texts_of(item)
        elif element.VR in _BINARY:
            # Bytes may hold a text; numbers are none.
            if isinstance(element.value, bytes):
                yield from (part.lower() for part in re.findall(r"[^\x00-\x1f]{5,}", element.value.decode("latin-1")))
        else:
            yield from _values_of(element)


def _values_of(element: DataElement) -> Iterator[str]:
    for place, text in enumerate(map(str, [element.value] if element.VM < 2 else element.value)):
        if text in PLACEHOLDERS or _OWN_KEY.fullmatch(text) or _OWN_UIDS.fullmatch(text.encode("utf-8", "replace")):
            continue
        if element.VR in _NUMBERS:
            # A short number is a measurement, whoever is called so.
            yield " ".join(re.findall(r"(?<![\d.])\d{5,}(?![\d.])", text))
        elif not (element.VR == "CS" and is_structural(element.keyword, text, place)):
            yield text.lower()


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
