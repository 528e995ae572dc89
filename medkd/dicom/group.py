"""Which slices belong together, and which of several slices at one position is meant.

A group has one patient, study, series, frame of reference, orientation, matrix, spacing, image type, echo, b-value and unit. Times and
acquisition numbers count only where positions repeat or stacks lie far apart: scanners give every slice a time of its own.
"""

from __future__ import annotations

import filecmp
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from data_contracts import Action, IngestCode, IngestError
from medkd.dicom.discover import FoundFile, transfer_syntax
from medkd.dicom.findings import Findings
from medkd.dicom.raw_values import raw_text, read_numbers
from medkd.dicom.series_words import TIMES_OF_DAY
from medkd.dicom.slices import BETWEEN, MOMENTS, PHYSICS, Slice
from medkd.dicom.solve_geometry import FEWEST_SLICES, FLOOR_MM, MOST_SYNTHETIC, SAME_MM, SHARE_OF_STEP, SlicePlanes

#: Direction cosines that differ by less are one orientation.
SAME_ORIENTATION = 1e-3
#: Numbers of the acquisition that differ by a smaller share are one: headers round.
SAME_PHYSICS = 0.01
#: Stacks lie far apart from this many times the steps on both sides of the gap: two lost slices are a gap, no border.
FAR_STEPS = 3

#: PatientID, StudyInstanceUID, SeriesInstanceUID.
_IDENTITY = (0x00100020, 0x0020000D, 0x0020000E)
#: LossyImageCompression (0028,2110) of an image that was.
_LOSSY = "01"
#: JPEG baseline and extended, JPEG-LS near-lossless, JPEG XL lossy: never without loss, whatever the header says.
_LOSSY_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81, 112))

Array = NDArray[np.float64]
Same = Callable[[Slice, Slice], bool]


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
        spacing = tuple(round(value, 5) for value in item.spacing_mm)
        unit = (item.rescale_type, "" if item.mapping is None else item.mapping[0])
        alike = groups[(*identity, item.matrix, spacing, item.contrast, unit)]
        for members in alike:
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
    return tuple(
        SliceGroup(members, said.get(id(members[0]), ""), lone=_lone(members, [m for k, m in found if k == key])) for key, members in found
    )


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
    return tuple(part for acquisition_key in _apart(group, findings, same) for part in _acquired_alike(acquisition_key))


def _apart(group: SliceGroup, findings: Findings, same: Same) -> tuple[SliceGroup, ...]:
    places = _places(group)
    if len(places) == len(group.slices):
        return (group,)
    parts = _by_moment(group, places, MOMENTS) or _by_moment(group, places, _further(places))
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
    axes = np.array(group.slices[0].orientation)
    projections = np.array([item.position_mm for item in group.slices]) @ np.cross(axes[:3], axes[3:])
    order = np.argsort(projections, kind="stable")
    places = [[group.slices[order[0]]]]
    for before, after in pairwise(order.tolist()):
        if projections[after] - projections[before] <= SAME_MM:
            places[-1].append(group.slices[after])
        else:
            places.append([group.slices[after]])
    return places


def _by_moment(group: SliceGroup, places: list[list[Slice]], keywords: Sequence[str]) -> tuple[SliceGroup, ...]:
    """Split by the first attribute that leaves every position at most once in each part, parts of comparable size."""
    place_of = {item: index for index, items in enumerate(places) for item in items}
    most = max(len(items) for items in places)
    least = max(FEWEST_SLICES, len(places) / 2)
    for keyword in keywords:
        parts = _parted(group, keyword)
        whole = all(len({place_of[item] for item in part}) == len(part) for part in parts.values())
        small = [len(part) for part in parts.values() if len(part) < least]
        # What was broken off (a last time point) must not take what is whole with it.
        enough = not small or (len(parts) - len(small) > 1 and sum(small) <= len(group.slices) / 4)
        if 1 < len(parts) <= 2 * most and "" not in parts and whole and enough:
            return _named(group, keyword, parts)
    return ()


def _by_several(group: SliceGroup, places: list[list[Slice]]) -> tuple[SliceGroup, ...]:
    """Split by the first attribute that leaves fewer slices at each position, where no single one leaves one: others go on from there."""
    most = max(len(items) for items in places)
    least = max(FEWEST_SLICES, len(places) / 2)
    place_of = {item: index for index, items in enumerate(places) for item in items}
    for keyword in (*MOMENTS, *_further(places)):
        if keyword in TIMES_OF_DAY:
            continue
        parts = _parted(group, keyword)
        if not 1 < len(parts) <= 2 * most or "" in parts:
            continue
        counts = [Counter(place_of[item] for item in part) for part in parts.values()]
        if all(len(count) >= least and max(count.values()) < most for count in counts):
            return _named(group, keyword, parts)
    return ()


def _parted(group: SliceGroup, keyword: str) -> dict[str, list[Slice]]:
    parts: dict[str, list[Slice]] = defaultdict(list)
    for item in group.slices:
        parts[item.value(keyword)].append(item)
    return parts


def _named(group: SliceGroup, keyword: str, parts: dict[str, list[Slice]]) -> tuple[SliceGroup, ...]:
    """Return the parts of a group, in the order of their values, each called by its own."""
    return tuple(
        _part(group, part, _name(keyword, value, part[0])) for value, part in sorted(parts.items(), key=lambda pair: _order(pair[0]))
    )


def _part(group: SliceGroup, slices: Iterable[Slice], name: str) -> SliceGroup:
    kept = tuple(slices)
    places = {item.position_mm for item in kept}
    aside = tuple(item for item in group.aside if item.position_mm in places)
    return replace(
        group, slices=kept, aside=aside, acquisition_key=f"{group.acquisition_key}{BETWEEN}{name}" if group.acquisition_key else name
    )


def _name(keyword: str, value: str, item: Slice) -> str:
    """Return what a part is called: its attribute and value; of a gradient direction, with the b-value that it belongs to."""
    named = f"{keyword}={value}"
    b_value = item.value("DiffusionBValue") if keyword == "DiffusionGradientOrientation" else ""
    return f"DiffusionBValue={b_value}{BETWEEN}{named}" if b_value else named


def _order(value: str) -> tuple[int, list[float], str]:
    try:
        return 0, [float(part) for part in value.split("\\")], value
    except ValueError:
        return 1, [], value


def _further(places: list[list[Slice]]) -> list[str]:
    """Return the other standard attributes in which slices at one position differ, times and dates last."""
    fullest = max(places, key=len)
    known = set(MOMENTS)
    names = {keyword for item in fullest for keyword in item.attributes} - known
    differ = [name for name in names if len({item.attributes.get(name, "") for item in fullest}) > 1]
    return sorted(differ, key=lambda name: (name.endswith(("Time", "Date")), name))


def _acquired_alike(group: SliceGroup) -> list[SliceGroup]:
    """Return a group, or its parts where stacks, physics or distances say that they were acquired apart."""
    if group.refusal is not None or len(group.slices) < 2 * FEWEST_SLICES:
        return [_mixed(group)]
    for split in (_by_stack, _by_physics, _by_distance):
        parts = split(group)
        if len(parts) > 1:
            return [part for one in parts for part in _acquired_alike(one)]
    return [_mixed(group)]


def _by_stack(group: SliceGroup) -> tuple[SliceGroup, ...]:
    parts = _parted(group, "StackID") if group.slices[0].groups else {}
    if len(parts) > 1 and "" not in parts and all(len(part) >= FEWEST_SLICES for part in parts.values()):
        return _named(group, "StackID", parts)
    return ()


def _by_physics(group: SliceGroup) -> tuple[SliceGroup, ...]:
    """Split where each kind of slices is a stack of its own; slices of another kind here and there are no volume (:func:`_mixed`)."""
    for keyword in PHYSICS:
        parts = _parted(group, keyword)
        if _differ(parts) and "" not in parts and all(_regular(_projections(part)) for part in parts.values()):
            return _named(group, keyword, parts)
    return ()


def _mixed(group: SliceGroup) -> SliceGroup:
    """Note in what slices of a volume differ that are not to be parted."""
    if group.refusal is not None:
        return group
    mixed = [keyword for keyword in PHYSICS if _differ(_parted(group, keyword))]
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


def _by_distance(group: SliceGroup) -> tuple[SliceGroup, ...]:
    """Split stacks that lie much further apart than their slices, where the header or the distance itself says that they are no one volume."""
    order, projections = _sorted(group.slices)
    steps = np.diff(projections)
    beside = np.maximum(np.concatenate([[0], steps[:-1]]), np.concatenate([steps[1:], [0]]))
    gaps = np.flatnonzero(steps > FAR_STEPS * beside)
    bounds = [0, *(int(gap) + 1 for gap in gaps), len(order)]
    stacks = [[group.slices[index] for index in order[begin:end]] for begin, end in pairwise(bounds)]
    if len(stacks) < 2 or not all(_regular(_projections(stack)) for stack in stacks):
        return ()
    firsts = [stack[0] for stack in stacks]
    # Whatever each stack has one value of, and no other has: what the acquisitions are called, before what else they differ in.
    further = (name for name in _further([firsts]) if name not in PHYSICS)
    for keyword in (*("AcquisitionNumber", "FrameAcquisitionNumber"), *MOMENTS, *further):
        values = [{item.value(keyword) for item in stack} for stack in stacks]
        if all(len(value) == 1 and "" not in value for value in values) and len(set.union(*values)) == len(stacks):
            return tuple(_part(group, stack, _name(keyword, value.pop(), stack[0])) for stack, value in zip(stacks, values, strict=True))
    step = float(np.median(np.delete(steps, gaps)))
    lost = float(np.sum(np.round(steps[gaps] / step) - 1))
    if lost / (lost + len(order)) <= MOST_SYNTHETIC:
        return ()
    evidence = {"stacks": len(stacks), "gaps_mm": [round(float(steps[gap]), 3) for gap in gaps]}
    message = f"expected one stack of slices, {len(stacks)} lie up to {float(steps[gaps].max()):.1f} mm apart"
    noted = replace(group, notes=(*group.notes, (IngestCode.SEPARATE_STACKS, message, evidence)))
    return tuple(_part(noted, stack, f"Stack={number}") for number, stack in enumerate(stacks, 1))


def _sorted(slices: Sequence[Slice]) -> tuple[list[int], Array]:
    axes = np.array(slices[0].orientation)
    projections = np.array([item.position_mm for item in slices]) @ np.cross(axes[:3], axes[3:])
    order = np.argsort(projections, kind="stable")
    return [int(index) for index in order], projections[order]


def _projections(slices: Sequence[Slice]) -> Array:
    return _sorted(slices)[1]


def _regular(projections: Array) -> bool:
    """Return whether slices are enough for a volume and follow one another in equal steps."""
    steps = np.diff(projections)
    if len(projections) < FEWEST_SLICES or float(steps.min()) <= SAME_MM:
        return False
    return bool(np.abs(steps - np.median(steps)).max() <= 2 * max(SHARE_OF_STEP * float(np.median(steps)), FLOOR_MM))


def _without_repeats(group: SliceGroup, places: list[list[Slice]], findings: Findings, same: Same) -> SliceGroup:
    counts = Counter(len(items) for items in places)
    equal = [all(same(items[0], other) for other in items[1:]) for items in places]
    unequal = [items for items, alike in zip(places, equal, strict=True) if not alike]
    evidence = {"positions": len(places), "slices": len(group.slices), "most_at_one_position": max(counts), "unequal": len(unequal)}
    if unequal and (len(counts) == 1 or len(places) < FEWEST_SLICES):
        differ = [name for name in MOMENTS if len({item.value(name) for item in max(places, key=len)}) > 1] + _further(places)
        why = f"{', '.join(differ[:6])} differ but part them into no whole volumes" if differ else "nothing in the header tells them apart"
        message = f"expected one slice per position, each of {len(places)} positions holds {max(counts)} and {why}"
        raise IngestError(IngestCode.TEMPORAL_STACK, message, evidence)
    if len(unequal) < sum(len(items) > 1 for items in places):
        message = f"expected one slice per position, {max(counts)} equal ones share a position"
        findings.resolve(IngestCode.DUPLICATE_POSITION, message, evidence)
    if unequal:
        message = f"expected one slice per position, different ones share {len(unequal)} of {len(places)} positions"
        few = len(unequal) <= len(places) / 2
        if findings.resolve(IngestCode.DUPLICATE_CONFLICT, message, evidence, repairable=few) is not Action.REPAIR:
            raise IngestError(IngestCode.DUPLICATE_CONFLICT, message, evidence)
    return replace(
        group,
        slices=tuple(items[0] for items in places),
        unusable=frozenset(items[0] for items in unequal),
        aside=tuple(other for items in places for other in items[1:]),
    )


def find_conflicts(files: list[FoundFile], same: Callable[[FoundFile, FoundFile], bool]) -> dict[str, IngestCode]:
    """Return the files (by relative path) whose identity contradicts another's; none of them is guessed to be the right one.

    ``DUPLICATE_FILE``: the same bytes again, or the same header and pixels in another encoding (all but the first).
    ``TRUNCATED_PIXELS``: the beginning of another file of the same instance, a copy that broke off: it contradicts nothing.
    ``DUPLICATE_UID_CONFLICT``: one instance UID, different content.
    ``PATIENT_ID_COLLISION``: one series UID under two patient ids.
    """
    conflicts: dict[str, IngestCode] = {}
    first_with: dict[str, FoundFile] = {}
    instances: dict[str, list[FoundFile]] = defaultdict(list)
    series: dict[str, list[FoundFile]] = defaultdict(list)
    for file in files:
        if not file.digest:
            continue  # a link to nothing has no bytes to compare
        first = first_with.setdefault(file.digest, file)
        if first is not file and filecmp.cmp(first.path, file.path, shallow=False):
            conflicts[file.relative] = IngestCode.DUPLICATE_FILE
        elif file.header is not None:
            instances[raw_text(file.header, 0x00080018) or file.relative].append(file)
            series[raw_text(file.header, _IDENTITY[2]) or file.relative].append(file)
    for together in instances.values():
        broken = [member for member in together if _breaks_off(member, together)] if len(together) > 1 else []
        conflicts |= {member.relative: IngestCode.TRUNCATED_PIXELS for member in broken}
        members = [member for member in together if member not in broken]
        if len(members) > 1 and all(same(members[0], other) for other in members[1:]):
            conflicts |= {member.relative: IngestCode.DUPLICATE_FILE for member in members[1:]}
        elif len(members) > 1:
            conflicts |= {member.relative: IngestCode.DUPLICATE_UID_CONFLICT for member in members}
    for members in series.values():
        if len({raw_text(member.header, _IDENTITY[0]) for member in members if member.header is not None}) > 1:
            conflicts |= {member.relative: IngestCode.PATIENT_ID_COLLISION for member in members}
    return conflicts


def _breaks_off(file: FoundFile, others: list[FoundFile]) -> bool:
    """Return whether a file holds the first bytes of another one and no more."""
    try:
        size = file.path.stat().st_size
        for other in others:
            if other is file or other.pixels is None or not other.pixels.whole or other.path.stat().st_size <= size:
                continue
            with file.path.open("rb") as short, other.path.open("rb") as whole:
                left = size
                while left and (chunk := short.read(min(left, 2**20))) and whole.read(len(chunk)) == chunk:
                    left -= len(chunk)
            if not left:
                return True
    except OSError:
        return False
    return False


def judge_headers(group: SliceGroup, findings: Findings) -> None:
    """Settle what the headers say of the whole group: how its voxels came about and how they are written.

    Raises:
        IngestError: ``DERIVED_MPR``, ``LOSSY_COMPRESSED``, ``MONOCHROME1`` or ``BAD_VR``, where the policy refuses them.
    """
    image_type = [part.upper() for part in group.slices[0].contrast[0].split("\\")]
    derived = next((word for word in ("MPR", "REFORMAT") for part in image_type if word in part), None)
    if derived is not None:
        findings.resolve(IngestCode.DERIVED_MPR, "expected an acquired series, got a reformatted one", {"image_type": derived})
    headers = [file.header for file in group.files if file.header is not None]
    if any(raw_text(header, 0x00282110) == _LOSSY or transfer_syntax(header) in _LOSSY_SYNTAXES for header in headers):
        ratio = str(group.header.get("LossyImageCompressionRatio", ""))
        findings.resolve(IngestCode.LOSSY_COMPRESSED, "expected lossless pixels, the image was compressed with loss", {"ratio": ratio})
    if any(raw_text(header, 0x00280004) == "MONOCHROME1" for header in headers):
        findings.resolve(IngestCode.MONOCHROME1, "expected MONOCHROME2, the grey scale is shown inverted", {"values": "not inverted"})
    if any(IngestCode.DECIMAL_COMMA in item.notes for item in group.slices):
        findings.resolve(
            IngestCode.DECIMAL_COMMA, "expected numbers with decimal points, they are written with commas", {"read_as": "points"}
        )
    if any(IngestCode.BAD_VR in file.notes for file in group.files):
        findings.resolve(IngestCode.BAD_VR, "expected known value representations, known attributes are written as UN", {"vr": "UN"})
