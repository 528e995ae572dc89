"""Slices that share a position are parted by what the header tells apart, or settled as repeats and conflicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from data_contracts import Action, IngestCode, IngestError
from medkd.dicom.findings import Findings
from medkd.dicom.group import SliceGroup
from medkd.dicom.partition import further_attributes, named_parts, part_by, sorted_along_normal
from medkd.dicom.series_words import TIMES_OF_DAY
from medkd.dicom.slice_attributes import MOMENTS
from medkd.dicom.slices import Slice
from medkd.dicom.solve_geometry import FEWEST_SLICES, SAME_MM
from medkd.dicom.split_acquisitions import split_acquisitions

Same = Callable[[Slice, Slice], bool]


def split_repeated(group: SliceGroup, findings: Findings, same: Same) -> tuple[SliceGroup, ...]:
    """Return groups in which every position occurs once and all slices were acquired alike.

    Repeated positions are time points, echoes, directions or acquisitions where the header tells them apart, by one attribute or by several;
    equal slices are one slice; different slices at one position are a conflict. Stacks, acquisitions that lie far apart and images of another
    tube voltage, kernel, echo, inversion time or flip angle are volumes of their own.

    Args:
        group: slices of one orientation.
        findings: settles ``DUPLICATE_POSITION`` and ``DUPLICATE_CONFLICT``.
        same: whether two slices hold the same pixels.

    Raises:
        IngestError: ``DUPLICATE_POSITION``, ``DUPLICATE_CONFLICT`` or ``TEMPORAL_STACK``.
    """
    return tuple(part for whole in _apart(group, findings, same) for part in split_acquisitions(whole))


def _apart(group: SliceGroup, findings: Findings, same: Same) -> tuple[SliceGroup, ...]:
    places = _places(group)
    if len(places) == len(group.slices):
        return (group,)
    # The attributes that are meant to tell images apart go first: what else differs may only go along with them.
    parts = _by_moment(group, places, MOMENTS) or _by_moment(group, places, further_attributes(places))
    if parts:
        return parts
    parts = _by_several(group, places)
    if not parts:
        return (_without_repeats(group, places, findings, same),)
    found: list[SliceGroup] = []
    refused = 0
    for part in parts:
        try:
            found.extend(_apart(part, findings, same))
        except IngestError as error:  # what can be told apart is not lost with what cannot
            found.append(replace(part, refusal=error))
            refused += 1
    return tuple(found) if refused < len(parts) else (_without_repeats(group, places, findings, same),)


def _places(group: SliceGroup) -> list[list[Slice]]:
    """Return the slices at each position along the normal."""
    order, projections = sorted_along_normal(group.slices)
    places = [[group.slices[order[0]]]]
    for index, step in zip(order[1:], np.diff(projections), strict=True):
        if step <= SAME_MM:
            places[-1].append(group.slices[index])
        else:
            places.append([group.slices[index]])
    return places


def _by_moment(group: SliceGroup, places: list[list[Slice]], keywords: Sequence[str]) -> tuple[SliceGroup, ...]:
    """Split by the first attribute that leaves every position at most once in each part, parts of comparable size."""
    place_of = {item: index for index, items in enumerate(places) for item in items}
    most = max(len(items) for items in places)
    least = max(FEWEST_SLICES, len(places) / 2)
    for keyword in keywords:
        parts = part_by(group, keyword)
        whole = all(len({place_of[item] for item in part}) == len(part) for part in parts.values())
        small = [len(part) for part in parts.values() if len(part) < least]
        # What was broken off (a last time point) must not take what is whole with it.
        enough = not small or (len(parts) - len(small) > 1 and sum(small) <= len(group.slices) / 4)
        # Many more values than slices at a position: each slice has one of its own, which parts no acquisitions.
        if 1 < len(parts) <= 2 * most and "" not in parts and whole and enough:
            return named_parts(group, keyword, parts)
    return ()


def _by_several(group: SliceGroup, places: list[list[Slice]]) -> tuple[SliceGroup, ...]:
    """Split by the first attribute that leaves fewer slices at each position, where no single one leaves one: others go on from there."""
    most = max(len(items) for items in places)
    least = max(FEWEST_SLICES, len(places) / 2)
    place_of = {item: index for index, items in enumerate(places) for item in items}
    for keyword in (*MOMENTS, *further_attributes(places)):
        # A time of day halves any series somewhere: it parts volumes only where it alone leaves one slice at each position.
        if keyword in TIMES_OF_DAY:
            continue
        parts = part_by(group, keyword)
        if not 1 < len(parts) <= 2 * most or "" in parts:
            continue
        counts = [Counter(place_of[item] for item in part) for part in parts.values()]
        if all(len(count) >= least and max(count.values()) < most for count in counts):
            return named_parts(group, keyword, parts)
    return ()


def _without_repeats(group: SliceGroup, places: list[list[Slice]], findings: Findings, same: Same) -> SliceGroup:
    counts = Counter(len(items) for items in places)
    equal = [all(same(items[0], other) for other in items[1:]) for items in places]
    unequal = [items for items, alike in zip(places, equal, strict=True) if not alike]
    evidence = {"positions": len(places), "slices": len(group.slices), "most_at_one_position": max(counts), "unequal": len(unequal)}
    # Every position as often as every other: a time series or a set of echoes whose header lost what tells them apart.
    if unequal and (len(counts) == 1 or len(places) < FEWEST_SLICES):
        differ = [name for name in MOMENTS if len({item.value(name) for item in max(places, key=len)}) > 1] + further_attributes(places)
        why = f"{', '.join(differ[:6])} differ but part them into no whole volumes" if differ else "nothing in the header tells them apart"
        message = f"expected one slice per position, each of {len(places)} positions holds {max(counts)} and {why}"
        raise IngestError(IngestCode.TEMPORAL_STACK, message, evidence)
    if len(unequal) < sum(len(items) > 1 for items in places):
        message = f"expected one slice per position, {max(counts)} equal ones share a position"
        findings.resolve(IngestCode.DUPLICATE_POSITION, message, evidence)
    if unequal:
        message = f"expected one slice per position, different ones share {len(unequal)} of {len(places)} positions"
        # A repair leaves contradicted places out and fills them: of more than half nothing would be measured.
        few = len(unequal) <= len(places) / 2
        if findings.resolve(IngestCode.DUPLICATE_CONFLICT, message, evidence, repairable=few) is not Action.REPAIR:
            raise IngestError(IngestCode.DUPLICATE_CONFLICT, message, evidence)
    # The first file in the order of names stands for its position, so that the same folder gives the same volume.
    return replace(
        group,
        slices=tuple(items[0] for items in places),
        unusable=frozenset(items[0] for items in unequal),
        aside=tuple(other for items in places for other in items[1:]),
    )
