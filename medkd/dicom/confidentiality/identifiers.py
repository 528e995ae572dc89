"""What identifies somebody in an object: values that must not be found afterwards, and words that no text may keep."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag

from medkd.dicom.confidentiality.profile import is_identifying
from medkd.dicom.confidentiality.words import tokens_of

#: Shortest part of a name, and of another identifier, that is looked for in what was written.
_SHORTEST_NAME, _SHORTEST = 3, 5
#: Shortest number that is part of an identifier and no measurement.
SHORTEST_NUMBER = 5
#: UIDs of the standard itself (classes, transfer syntaxes, coding schemes) name nobody.
_STANDARD_ROOT = "1.2.840.10008."


@dataclass(frozen=True)
class Identifiers:
    """What identifies somebody in an object.

    Attributes:
        originals: identifying values with the keyword they stand under first; none may be found in what is written.
        words: in lower case, what a text must not be made of: parts of names, whole identifiers, their numbers.
    """

    originals: dict[str, str]
    words: frozenset[str]


def collect_identifiers(dataset: Dataset) -> Identifiers:
    """Return what identifies somebody in an object, at any depth: all of it, since a name may stand in a description that comes first."""
    originals: dict[str, str] = {}
    names: set[str] = set()
    _collect(dataset, originals, names)
    return Identifiers(
        originals, frozenset(word for part, keyword in originals.items() for word in _words(part, keyword)) | frozenset(names)
    )


def _collect(dataset: Dataset, originals: dict[str, str], names: set[str]) -> None:
    for element in elements_of(dataset):
        if element.VR == "SQ":
            for item in element.value or ():
                _collect(item, originals, names)
        elif not element.tag.is_private and is_identifying(element.tag, element.VR):
            if element.VR == "PN":
                names |= {word for value in map(str, values_of(element)) for word in tokens_of(value) if len(word) > 1}
            for part in _parts(element):
                originals.setdefault(part, element.keyword or str(element.tag))


def _words(part: str, keyword: str) -> set[str]:
    """Return what an original must not be found as: itself, and the numbers in it that are long enough to be one."""
    if keyword.endswith("UID"):
        return {part.lower()}
    numbers = {plain_number(run) for run in re.findall(r"\d+", part)}
    return {part.lower(), *(run for run in numbers if len(run) >= SHORTEST_NUMBER)}


def plain_number(text: str) -> str:
    """Return a whole number without sign, leading zeros and a fraction of zeros: as numbers repeat identifiers."""
    match = re.fullmatch(r"\s*\+?0*(\d+)(?:\.0*)?\s*", text)
    return match.group(1) if match else text.strip().lower()


def _parts(element: DataElement) -> list[str]:
    """Return the pieces of an identifying value that are long enough to be looked for."""
    found = []
    for value in map(str, values_of(element)):
        text = value.strip("\0 ")
        if element.VR == "UI":
            found += [text] if not text.startswith(_STANDARD_ROOT) and len(text) > 2 * _SHORTEST else []
        elif element.VR == "PN":
            whole = re.split(r"[\^= ,]+", text)
            # Of a double name each half is one.
            halves = [half for part in whole for half in re.split(r"[-'’.]+", part)]
            found += [part for part in dict.fromkeys([*whole, *halves]) if len(part) >= _SHORTEST_NAME]
        elif element.VR in ("DA", "DT"):
            found += [text] if len(text) >= 8 else []
        elif len(text) >= _SHORTEST:
            found.append(text)
    return found


def elements_of(dataset: Dataset) -> Iterator[DataElement]:
    """Yield the elements whose values can be parsed; the others are not copied, which removes them."""
    for tag in sorted(dataset.keys()):
        element = _parsed(dataset, tag)
        if element is not None:
            yield element


def _parsed(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    try:
        return dataset[tag]
    except Exception:  # a value that contradicts its representation: pydicom raises what its parsers raise
        return None


def values_of(element: DataElement) -> list[Any]:
    """Return the values of an element as a list, however many there are."""
    value = element.value
    if value is None:
        return [""]
    return list(value) if element.VM > 1 else [value]
