"""Slices that share no position and yet were acquired apart: stacks, other physics, distances."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from data_contracts import IngestCode
from medkd.dicom.group import SliceGroup
from medkd.dicom.partition import (
    further_attributes,
    is_regular,
    named_part,
    named_parts,
    part_by,
    part_name,
    projections_of,
    sorted_along_normal,
)
from medkd.dicom.slice_attributes import MOMENTS, PHYSICS
from medkd.dicom.slices import Slice
from medkd.dicom.solve_geometry import FEWEST_SLICES, MOST_SYNTHETIC

#: Numbers of the acquisition that differ by a smaller share are one: headers round.
SAME_PHYSICS = 0.01
#: Stacks lie far apart from this many times the steps on both sides of the gap: two lost slices are a gap, no border.
FAR_STEPS = 3


def split_acquisitions(group: SliceGroup) -> list[SliceGroup]:
    """Return a group, or its parts where stacks, physics or distances say that they were acquired apart."""
    # Fewer slices cannot be two volumes.
    if group.refusal is not None or len(group.slices) < 2 * FEWEST_SLICES:
        return [_mixed(group)]
    for split in (_by_stack, _by_physics, _by_distance):
        parts = split(group)
        if len(parts) > 1:
            return [part for one in parts for part in split_acquisitions(one)]
    return [_mixed(group)]


def _by_stack(group: SliceGroup) -> tuple[SliceGroup, ...]:
    # StackID (0020,9056) belongs to the functional groups of a frame; single-frame objects have none.
    parts = part_by(group, "StackID") if group.slices[0].groups else {}
    if len(parts) > 1 and "" not in parts and all(len(part) >= FEWEST_SLICES for part in parts.values()):
        return named_parts(group, "StackID", parts)
    return ()


def _by_physics(group: SliceGroup) -> tuple[SliceGroup, ...]:
    """Split where each kind of slices is a stack of its own; slices of another kind here and there are no volume (:func:`_mixed`)."""
    for keyword in PHYSICS:
        parts = part_by(group, keyword)
        if _differ(parts) and "" not in parts and all(is_regular(projections_of(part)) for part in parts.values()):
            return named_parts(group, keyword, parts)
    return ()


def _by_distance(group: SliceGroup) -> tuple[SliceGroup, ...]:
    """Split stacks that lie much further apart than their slices, where the header or the distance itself says that they are no one volume."""
    order, projections = sorted_along_normal(group.slices)
    steps = np.diff(projections)
    beside = np.maximum(np.concatenate([[0], steps[:-1]]), np.concatenate([steps[1:], [0]]))
    gaps = np.flatnonzero(steps > FAR_STEPS * beside)
    bounds = [0, *(int(gap) + 1 for gap in gaps), len(order)]
    stacks = [[group.slices[index] for index in order[begin:end]] for begin, end in pairwise(bounds)]
    if len(stacks) < 2 or not all(is_regular(projections_of(stack)) for stack in stacks):
        return ()
    firsts = [stack[0] for stack in stacks]
    # Whatever each stack has one value of, and no other has: what the acquisitions are called, before what else they differ in.
    further = (name for name in further_attributes([firsts]) if name not in PHYSICS)
    for keyword in (*("AcquisitionNumber", "FrameAcquisitionNumber"), *MOMENTS, *further):
        values = [{item.value(keyword) for item in stack} for stack in stacks]
        if all(len(value) == 1 and "" not in value for value in values) and len(set.union(*values)) == len(stacks):
            return tuple(
                named_part(group, stack, part_name(keyword, value.pop(), stack[0])) for stack, value in zip(stacks, values, strict=True)
            )
    # Nothing but distance parts them: as one volume, so many slices would have to be invented between them.
    step = float(np.median(np.delete(steps, gaps)))
    lost = float(np.sum(np.round(steps[gaps] / step) - 1))
    if lost / (lost + len(order)) <= MOST_SYNTHETIC:
        return ()
    evidence = {"stacks": len(stacks), "gaps_mm": [round(float(steps[gap]), 3) for gap in gaps]}
    message = f"expected one stack of slices, {len(stacks)} lie up to {float(steps[gaps].max()):.1f} mm apart"
    noted = replace(group, notes=(*group.notes, (IngestCode.SEPARATE_STACKS, message, evidence)))
    return tuple(named_part(noted, stack, f"Stack={number}") for number, stack in enumerate(stacks, 1))


def _mixed(group: SliceGroup) -> SliceGroup:
    """Note in what slices of a volume differ that are not to be parted."""
    if group.refusal is not None:
        return group
    mixed = [keyword for keyword in PHYSICS if _differ(part_by(group, keyword))]
    if not mixed:
        return group
    message = f"expected slices that were acquired alike, they differ in {', '.join(mixed)}"
    return replace(group, notes=(*group.notes, (IngestCode.MIXED_ACQUISITION, message, {"attributes": mixed})))


def _differ(parts: dict[str, list[Slice]]) -> bool:
    """Return whether the values that slices state differ, numbers by more than they are rounded."""
    stated = [value for value in parts if value]
    try:
        numbers = [float(value) for value in stated]
    except ValueError:
        return len(stated) > 1
    return len(numbers) > 1 and max(numbers) - min(numbers) > SAME_PHYSICS * max(map(abs, numbers))
