"""What a record says of a component: whether the teacher marks it too, and where it lies, in words. Needs no torch."""

from __future__ import annotations

from typing import Literal

from data_contracts import Lesion, LesionFinding

#: A component with a smaller share of its voxels in the other's mask is marked by one of the two only.
LEAST_SHARED = 0.1
Standing = Literal["agrees", "student only", "no teacher"]


def standing_of(lesion: LesionFinding) -> Standing:
    """Return whether the teacher marks a lesion too."""
    if lesion.share_in_teacher is None:
        return "no teacher"
    return "agrees" if lesion.share_in_teacher >= LEAST_SHARED else "student only"


def place_of(lesion: Lesion) -> str:
    """Return volume, side and centre of a component in words."""
    volume = "volume unknown" if lesion.volume_ml is None else f"{lesion.volume_ml:.2f} ml"
    centre = lesion.centroid_lps_mm
    return f"{volume}, {side_of(lesion)}" + ("" if centre is None else f", at LPS ({', '.join(str(round(mm)) for mm in centre)}) mm")


def side_of(lesion: Lesion) -> str:
    """Return the side of a component in words."""
    return "side unknown" if lesion.side == "unknown" else lesion.side
