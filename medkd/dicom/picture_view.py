"""Side, view and timing of a picture as its header states them; nothing but terms of closed lists is repeated."""

from __future__ import annotations

import math
from typing import Literal, cast

from pydicom import Dataset

from medkd.dicom.raw_values import raw_int, raw_text, read_numbers, tag_of

Laterality = Literal["", "L", "R", "B", "U"]
Intent = Literal["", "FOR PRESENTATION", "FOR PROCESSING"]
#: Views of mammography by their codes, in SNOMED CT and as they were written before. Source: PS3.16 CID 4014.
_VIEW_CODES = {
    **dict.fromkeys(("399260004", "R-10224"), "ML"),
    **dict.fromkeys(("399368009", "R-10226"), "MLO"),
    **dict.fromkeys(("399352003", "R-10228"), "LM"),
    **dict.fromkeys(("399099002", "R-10230"), "LMO"),
    **dict.fromkeys(("399162004", "R-10242"), "CC"),
    **dict.fromkeys(("399196006", "R-10244"), "FB"),
    **dict.fromkeys(("399188001", "R-102D0"), "SIO"),
    **dict.fromkeys(("441555000", "R-40AAA"), "ISO"),
    **dict.fromkeys(("399192008", "R-1024A"), "XCCL"),
    **dict.fromkeys(("399101009", "R-1024B"), "XCCM"),
    # Projections of radiography: from the front, from the back, from the side. Source: PS3.16 CID 4010.
    **dict.fromkeys(("399348003", "R-10206"), "AP"),
    **dict.fromkeys(("272479007", "R-40888"), "PA"),
    **dict.fromkeys(("399067008", "R-102CD"), "LATERAL"),
}
#: Terms of ViewPosition. Source: PS3.3 C.8.1.1 and C.8.11.7, CID 4014.
_VIEWS = frozenset(_VIEW_CODES.values()) | {"LL", "RL", "RLD", "LLD", "RLO", "LLO", "XCC", "RAO", "LAO", "RPO", "LPO"}
#: Storage classes whose objects are for processing. Source: PS3.4 B.5.
_PROCESSING = frozenset(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("1.1.1", "1.2.1", "1.3.1"))


def laterality_of(header: Dataset) -> Laterality:
    """Return the side that a picture shows, "" where none is stated."""
    for tag in (0x00200062, 0x00200060):  # of the image before that of the series
        stated = raw_text(header, tag).upper()
        if stated in ("L", "R", "B", "U"):
            return cast(Laterality, stated)
    return ""


def view_of(header: Dataset) -> str:
    """Return the view of a picture, "" where none is stated, or none of the list."""
    # Some writers put the view of a radiograph where the position of the patient belongs.
    for tag in (0x00185101, 0x00185100):
        stated = raw_text(header, tag).upper()
        if stated in _VIEWS:
            return stated
    try:
        items = list(header.get("ViewCodeSequence") or [])
    except Exception:  # a sequence can be broken in ways no rule foresees
        return ""
    return next((view for item in items if (view := _VIEW_CODES.get(raw_text(item, 0x00080100), ""))), "")


def intent_of(header: Dataset) -> Intent:
    """Return what a radiograph is meant for, "" where it does not say so."""
    stated = raw_text(header, 0x00080068).upper()
    if stated in ("FOR PRESENTATION", "FOR PROCESSING"):
        return cast(Intent, stated)
    return "FOR PROCESSING" if raw_text(header, 0x00080016) in _PROCESSING else ""


def frame_time_ms(header: Dataset) -> float | None:
    """Return the time from one frame to the next, ms; None of a single frame, or where it is not one number. Source: PS3.3 C.7.6.5."""
    if raw_int(header, 0x00280008, 1) < 2:
        return None
    for keyword, factor in (("FrameTime", 1.0), ("CineRate", None), ("RecommendedDisplayFrameRate", None)):
        values = read_numbers(header, tag_of(keyword)).values
        if len(values) == 1 and math.isfinite(values[0]) and values[0] > 0:
            return values[0] if factor is not None else 1000 / values[0]
    return None
