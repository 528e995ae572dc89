"""Parts of a group of slices: by the value of an attribute, each part called by its own, and in their order along the normal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medkd.dicom.group import SliceGroup
from medkd.dicom.slice_attributes import BETWEEN, MOMENTS
from medkd.dicom.slices import Slice
from medkd.dicom.solve_geometry import FEWEST_SLICES, FLOOR_MM, SAME_MM, SHARE_OF_STEP

Array = NDArray[np.float64]


def part_by(group: SliceGroup, keyword: str) -> dict[str, list[Slice]]:
    """Return the slices of a group by the value of an attribute; "" holds those that state none."""
    parts: dict[str, list[Slice]] = defaultdict(list)
    for item in group.slices:
        parts[item.value(keyword)].append(item)
    return parts


def named_parts(group: SliceGroup, keyword: str, parts: dict[str, list[Slice]]) -> tuple[SliceGroup, ...]:
    """Return the parts of a group, in the order of their values, each called by its own."""
    return tuple(
        named_part(group, part, part_name(keyword, value, part[0]))
        for value, part in sorted(parts.items(), key=lambda pair: _order(pair[0]))
    )


def named_part(group: SliceGroup, slices: Iterable[Slice], name: str) -> SliceGroup:
    """Return a part of a group under a name, behind the names that the group has already.

    Args:
        group: what is parted.
        slices: of the part.
        name: what the part is told from others by, ``KEYWORD=VALUE``.
    """
    kept = tuple(slices)
    places = {item.position_mm for item in kept}
    # Repeats lie where the slice lies that they repeat, and go where it goes.
    aside = tuple(item for item in group.aside if item.position_mm in places)
    return replace(
        group, slices=kept, aside=aside, acquisition_key=f"{group.acquisition_key}{BETWEEN}{name}" if group.acquisition_key else name
    )


def part_name(keyword: str, value: str, item: Slice) -> str:
    """Return what a part is called: its attribute and value; of a gradient direction, with the b-value that it belongs to."""
    named = f"{keyword}={value}"
    # Directions repeat from shell to shell: without its b-value a direction is not one volume.
    b_value = item.value("DiffusionBValue") if keyword == "DiffusionGradientOrientation" else ""
    return f"DiffusionBValue={b_value}{BETWEEN}{named}" if b_value else named


def _order(value: str) -> tuple[int, list[float], str]:
    # Numbers by their size: as text, time point 10 would come before 2.
    try:
        return 0, [float(part) for part in value.split("\\")], value
    except ValueError:
        return 1, [], value


def further_attributes(places: list[list[Slice]]) -> list[str]:
    """Return the other standard attributes in which slices at one position differ, times and dates last."""
    fullest = max(places, key=len)
    known = set(MOMENTS)
    names = {keyword for item in fullest for keyword in item.attributes} - known
    differ = [name for name in names if len({item.attributes.get(name, "") for item in fullest}) > 1]
    return sorted(differ, key=lambda name: (name.endswith(("Time", "Date")), name))


def sorted_along_normal(slices: Sequence[Slice]) -> tuple[list[int], Array]:
    """Return the order of slices along the normal of the first one, and their projections on it in that order, mm [slice]."""
    axes = np.array(slices[0].orientation)
    projections = np.array([item.position_mm for item in slices]) @ np.cross(axes[:3], axes[3:])
    # Stable: slices at one position keep the order of their files, whatever the sorting algorithm does elsewhere.
    order = np.argsort(projections, kind="stable")
    return [int(index) for index in order], projections[order]


def projections_of(slices: Sequence[Slice]) -> Array:
    """Return the sorted projections of slices on their normal, mm [slice]."""
    return sorted_along_normal(slices)[1]


def is_regular(projections: Array) -> bool:
    """Return whether slices are enough for a volume and follow one another in equal steps."""
    steps = np.diff(projections)
    if len(projections) < FEWEST_SLICES or float(steps.min()) <= SAME_MM:
        return False
    # Both neighbours of a step may be off by the tolerance of a position.
    return bool(np.abs(steps - np.median(steps)).max() <= 2 * max(SHARE_OF_STEP * float(np.median(steps)), FLOOR_MM))
