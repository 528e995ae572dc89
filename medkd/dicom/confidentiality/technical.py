"""Texts outside of Table E.1-1 that say what the machine is and what it computed: PS3.15 keeps them, and research needs them.

Any of them may hold anything, so each word is looked up. A value stays whole where all of it is known words and the short codes of models,
coils and versions; of any other only the known words stay, and no number.
"""

from __future__ import annotations

import re
from collections.abc import Set

from medkd.dicom.confidentiality.scan_words import DEVICE_WORDS
from medkd.dicom.confidentiality.vocabulary import VOCABULARY
from medkd.dicom.confidentiality.words import tokens_of

#: Attributes, and whether a code without a word is one of their values.
TECHNICAL_TEXTS = {
    "ManufacturerModelName": False,
    "SoftwareVersions": True,
    "ReceiveCoilName": True,
    "TransmitCoilName": True,
    "ImagedNucleus": True,
    "ContrastBolusRoute": False,
    "Radiopharmaceutical": False,
    "AttenuationCorrectionMethod": False,
    "ScatterCorrectionMethod": False,
    "ReconstructionMethod": True,
    "ConvolutionKernel": False,
    "PlateType": True,
    "PhosphorType": False,
    "TransducerData": True,
    "ProcessingFunction": False,
}
_PARTS = re.compile(r"[\s_/,;:+*()\-]+")
_PIECES = re.compile(r"[A-Za-z]+|[\d.]+")
#: A model, coil or kernel: at most four digits, and letters that are no name.
_CODE = re.compile(r"[A-Za-z]{0,3}\d{1,4}[A-Za-z]{0,3}\d{0,2}[A-Za-z]?|[A-Za-z]{1,2}")
#: A version: numbers of at most four digits between points, letters of a release before and behind.
_VERSION = re.compile(r"[A-Za-z]{0,2}\d{1,4}(?:\.\d{1,4}){1,4}(?:[A-Za-z]{1,2}\d{0,3})?")


def technical_text(keyword: str, value: str, forbidden: Set[str]) -> str:
    """Return what may stay of a technical text, "" where that is nothing.

    Args:
        keyword: one of ``TECHNICAL_TEXTS``.
        value: as written.
        forbidden: parts of identifiers of the same object, in lower case.
    """
    text = value.strip()
    parts = [part for part in _PARTS.split(text) if part]
    known = [_is_known(part) and not tokens_of(part) & forbidden for part in parts]
    coded = [fits or (_is_code(part) and not tokens_of(part) & forbidden) for fits, part in zip(known, parts, strict=True)]
    if parts and all(coded) and (any(known) or TECHNICAL_TEXTS[keyword]):
        return text
    return " ".join(part for fits, part in zip(known, parts, strict=True) if fits and not part[0].isdigit())


def _is_known(part: str) -> bool:
    """Return whether a part is a word of machines, or one with a short number before or behind it (8HRBRAIN, LightSpeed16, Gauss5.00)."""
    word = part.lower().rstrip(".")
    if _is_word(word):
        return True
    pieces = _PIECES.findall(word)
    letters = next((piece for piece in pieces if piece.isalpha()), "")
    return len(pieces) == 2 and "".join(pieces) == word and len(letters) > 2 and len(word) - len(letters) <= 4 and _is_word(letters)


def _is_word(word: str) -> bool:
    return word in DEVICE_WORDS or word in VOCABULARY


def _is_code(part: str) -> bool:
    return _CODE.fullmatch(part) is not None or _VERSION.fullmatch(part) is not None
