"""What tells a volume from the others of its series, for programs: keyword → number or defined word (``SeriesRecord.coordinates``).

It is what :mod:`medkd.dicom.series_words` may say, and nothing else: numbers of the acquisition, words of closed lists, of times of day the place
among the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from data_contracts import Coordinate
from medkd.dicom.group import SliceGroup
from medkd.dicom.series_words import known_image_type, sayable
from medkd.dicom.slice_attributes import BETWEEN

#: What :data:`medkd.dicom.slices.CONTRAST` begins with: slices that differ in it never share a volume, whether or not they share positions.
_CONTRAST = ("ImageType", "EchoNumbers", "DiffusionBValue")
#: What echoes are numbered for: the number alone does not say it.
_ECHO_TIMES = ("EchoTime", "EffectiveEchoTime")


def series_coordinates(groups: Sequence[SliceGroup], said: Sequence[str]) -> list[dict[str, Coordinate]]:
    """Return the coordinates of each volume of a series; none of a series that is one volume, nor of pictures, which are images of their own.

    Args:
        groups: slices of each volume of one series.
        said: what of each group's acquisition key may be said, ``KEYWORD=VALUE``.
    """
    stated = [_contrast(group) for group in groups] if len(groups) > 1 else [{} for _ in groups]
    differ = {keyword for one in stated for keyword in one if len({other.get(keyword, "") for other in stated}) > 1}
    return [
        {} if group.is_picture else _coordinates([*_differing(group, own, differ), *_parts(moments)])
        for group, own, moments in zip(groups, stated, said, strict=True)
    ]


def _coordinates(parts: list[tuple[str, str]]) -> dict[str, Coordinate]:
    found: dict[str, Coordinate] = {}
    for keyword, text in parts:
        value = _value(keyword, text)
        if value is None or found.get(keyword) == value:
            continue
        # Of two attributes that may not be said each is a part of its own.
        name, number = keyword, 1
        while name in found:
            number += 1
            name = f"{keyword}{number}"
        found[name] = value
    return found


def _parts(moments: str) -> list[tuple[str, str]]:
    return [(keyword, text) for keyword, _, text in (part.partition("=") for part in moments.split(BETWEEN)) if keyword]


def _contrast(group: SliceGroup) -> dict[str, str]:
    """Return what the slices of a group have in common and those of another group of the series may not, as text."""
    first = group.slices[0]
    stated = dict(zip(_CONTRAST, first.contrast[: len(_CONTRAST)], strict=True))
    stated["ImageType"] = known_image_type(stated["ImageType"])
    return stated | {keyword: first.value(keyword) for keyword in _ECHO_TIMES}


def _differing(group: SliceGroup, own: dict[str, str], differ: set[str]) -> list[tuple[str, str]]:
    kept = [(keyword, text) for keyword, text in own.items() if keyword in differ and text]
    # Slices of one volume may have been acquired with several (MIXED_ACQUISITION): then it is none of the volume.
    return [pair for pair in kept if pair[0] not in _ECHO_TIMES or {item.value(pair[0]) for item in group.slices} == {pair[1]}]


def _value(keyword: str, text: str) -> Coordinate | None:
    """Return a coordinate as number, direction (three numbers) or word; None of what may not be said."""
    if keyword == "ImageType":
        return text or None
    if not sayable(keyword, text):
        return None
    try:
        numbers = [float(part) for part in text.split("\\")]
    except ValueError:
        return text
    if not all(map(math.isfinite, numbers)):
        return None
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1], numbers[2])
