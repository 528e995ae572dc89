"""Which slices belong together, and which of several slices at one position is meant.

A group has one patient, study, series, frame of reference, orientation, matrix, spacing, image type, echo, b-value and unit. Times and
acquisition numbers count only where positions repeat or stacks lie far apart: scanners give every slice a time of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset

from data_contracts import IngestCode, IngestError
from medkd.dicom.found_file import FoundFile
from medkd.dicom.raw_values import raw_text, read_numbers
from medkd.dicom.slice_attributes import BETWEEN
from medkd.dicom.slices import Slice
from medkd.dicom.solve_geometry import FEWEST_SLICES, SlicePlanes

#: Direction cosines that differ by less are one orientation.
SAME_ORIENTATION = 1e-3
#: PatientID, StudyInstanceUID, SeriesInstanceUID.
_IDENTITY = (0x00100020, 0x0020000D, 0x0020000E)


@dataclass(frozen=True)
class SliceGroup:
    """Slices that may form one volume.

    Attributes:
        slices: at least one.
        acquisition_key: what tells this group from others at the same positions, "" where nothing does.
        lone: why these few slices were set apart from the rest of their series (a MIXED code), or None.
        unusable: slices whose place counts but whose pixels do not: neither of two that contradict each other.
        aside: repeats of these slices that are not used; they share the volume's fate.
        notes: what is to be resolved of this group alone, with evidence.
        refusal: why this group can be no volume, although its series was parted.
    """

    slices: tuple[Slice, ...]
    acquisition_key: str = ""
    lone: IngestCode | None = None
    unusable: frozenset[Slice] = frozenset()
    aside: tuple[Slice, ...] = ()
    notes: tuple[tuple[IngestCode, str, dict[str, Any]], ...] = ()
    refusal: IngestError | None = None

    @property
    def header(self) -> Dataset:
        """Return the first slice's header; what is read from it is the same in all."""
        return self.slices[0].header

    @property
    def is_picture(self) -> bool:
        """Return whether the slices are frames of a picture, which lies nowhere in the patient."""
        return not self.slices[0].orientation

    @property
    def files(self) -> tuple[FoundFile, ...]:
        """Return the files of the slices and of those set aside, each once."""
        return tuple(dict.fromkeys(item.file for item in (*self.slices, *self.aside)))

    def planes(self) -> SlicePlanes:
        """Return the planes of the slices, in their order."""
        first = self.slices[0]
        # Compared, never used: what is no number says nothing.
        stated = read_numbers(self.header, 0x00180088).values
        return SlicePlanes(
            positions_mm=np.array([item.position_mm for item in self.slices]),
            orientation=np.array(first.orientation),
            pixel_spacing_mm=first.spacing_mm,
            matrix=first.matrix,
            stated_step_mm=stated[0] if len(stated) == 1 and math.isfinite(stated[0]) else None,
        )


def group_slices(slices: list[Slice]) -> tuple[SliceGroup, ...]:
    """Group slices; single ones that differ from the rest of their series say in what."""
    groups: dict[tuple[object, ...], list[list[Slice]]] = defaultdict(list)
    for item in slices:
        identity = tuple(raw_text(item.header, tag) for tag in _IDENTITY)
        # Spacings are decimal strings: the same one is written with more or fewer digits.
        spacing = tuple(round(value, 5) for value in item.spacing_mm)
        unit = (item.rescale_type, "" if item.mapping is None else item.mapping[0])
        alike = groups[(*identity, item.matrix, spacing, item.contrast, unit)]
        for members in alike:
            # Compared with a member and not rounded to a grid: two directions that are alike may lie on both sides of an edge of it.
            if max(abs(a - b) for a, b in zip(members[0].orientation, item.orientation, strict=True)) < SAME_ORIENTATION:
                members.append(item)
                break
        else:
            alike.append([item])
    found = [(key[:3], tuple(members)) for key, alike in groups.items() for members in alike]
    found.sort(key=lambda pair: (pair[1][0].file.relative, pair[1][0].frame))
    units: dict[tuple[object, ...], set[object]] = defaultdict(set)
    for key in groups:
        units[key[:-1]].add(key[-1])
    several = {key for key, alike in units.items() if len(alike) > 1}
    said = {id(members[0]): _unit_moment(members[0]) for key, alike in groups.items() if key[:-1] in several for members in alike}
    series: dict[tuple[object, ...], list[tuple[Slice, ...]]] = defaultdict(list)
    for key, together in found:
        series[key].append(together)
    return tuple(SliceGroup(members, said.get(id(members[0]), ""), lone=_lone(members, series[key])) for key, members in found)


def _unit_moment(item: Slice) -> str:
    """Return in what a group differs from others of its series that are alike in all but what their values are."""
    return f"RescaleType={item.rescale_type}" + ("" if item.mapping is None else f"{BETWEEN}Unit={item.mapping[0]}")


def _lone(members: tuple[Slice, ...], series: list[tuple[Slice, ...]]) -> IngestCode | None:
    """Say in what a few slices differ from a volume of the same series."""
    if len(members) >= FEWEST_SLICES:
        return None
    for other in sorted(series, key=len, reverse=True):
        if len(other) < FEWEST_SLICES or other[0].contrast != members[0].contrast:
            continue
        if other[0].matrix != members[0].matrix:
            return IngestCode.MIXED_MATRIX
        if np.abs(np.subtract(other[0].spacing_mm, members[0].spacing_mm)).max() > 1e-5:
            return IngestCode.MIXED_SPACING
        return IngestCode.MIXED_ORIENTATION
    return None
