"""Which slices belong together, and which of several slices at one position is meant.

A group has one patient, study, series, frame of reference, orientation, matrix, spacing, image type, echo and b-value. Times and
acquisition numbers count only where positions repeat: scanners give every slice a time of its own.
"""

from __future__ import annotations

import filecmp
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from data_contracts import Action, IngestCode, IngestError
from medkd.dicom.discover import FoundFile, transfer_syntax
from medkd.dicom.findings import Findings
from medkd.dicom.raw_values import raw_text
from medkd.dicom.slices import MOMENTS, Slice
from medkd.dicom.solve_geometry import FEWEST_SLICES, SAME_MM, SlicePlanes

#: Direction cosines that differ by less are one orientation.
SAME_ORIENTATION = 1e-3

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
        moment: what tells this group from others at the same positions, "" where nothing does.
        lone: why these few slices were set apart from the rest of their series (a MIXED code), or None.
        unusable: slices whose place counts but whose pixels do not: neither of two that contradict each other.
    """

    slices: tuple[Slice, ...]
    moment: str = ""
    lone: IngestCode | None = None
    unusable: frozenset[Slice] = frozenset()

    @property
    def header(self) -> Dataset:
        """Return the first slice's header; what is read from it is the same in all."""
        return self.slices[0].header

    @property
    def files(self) -> tuple[FoundFile, ...]:
        """Return the files of the slices, each once."""
        return tuple(dict.fromkeys(item.file for item in self.slices))

    def planes(self) -> SlicePlanes:
        """Return the planes of the slices, in their order."""
        first = self.slices[0]
        stated = self.header.get("SpacingBetweenSlices")
        return SlicePlanes(
            positions_mm=np.array([item.position_mm for item in self.slices]),
            orientation=np.array(first.orientation),
            pixel_spacing_mm=first.spacing_mm,
            matrix=first.matrix,
            stated_step_mm=float(stated) if stated not in (None, "") else None,
        )


def group_slices(slices: list[Slice]) -> tuple[SliceGroup, ...]:
    """Group slices; single ones that differ from the rest of their series say in what."""
    groups: dict[tuple[object, ...], list[list[Slice]]] = defaultdict(list)
    for item in slices:
        identity = tuple(raw_text(item.header, tag) for tag in _IDENTITY)
        spacing = tuple(round(value, 5) for value in item.spacing_mm)
        alike = groups[(*identity, item.matrix, spacing, item.contrast)]
        for members in alike:
            if max(abs(a - b) for a, b in zip(members[0].orientation, item.orientation, strict=True)) < SAME_ORIENTATION:
                members.append(item)
                break
        else:
            alike.append([item])
    found = [(key[:3], tuple(members)) for key, alike in groups.items() for members in alike]
    found.sort(key=lambda pair: (pair[1][0].file.relative, pair[1][0].frame))
    return tuple(SliceGroup(members, lone=_lone(members, [m for k, m in found if k == key])) for key, members in found)


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
    """Return groups in which every position occurs once.

    Repeated positions are time points, echoes or acquisitions where the header tells them apart; equal slices are one slice; different
    slices at one position are a conflict.

    Args:
        group: slices of one orientation.
        findings: settles ``DUPLICATE_POSITION`` and ``DUPLICATE_CONFLICT``.
        same: whether two slices hold the same pixels.

    Raises:
        IngestError: ``DUPLICATE_POSITION``, ``DUPLICATE_CONFLICT`` or ``TEMPORAL_STACK``.
    """
    places = _places(group)
    if len(places) == len(group.slices):
        return (group,)
    parts = _by_moment(group, places)
    if parts:
        return parts
    return (_without_repeats(group, places, findings, same),)


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


def _by_moment(group: SliceGroup, places: list[list[Slice]]) -> tuple[SliceGroup, ...]:
    """Split by the first attribute that leaves every position at most once in each part, parts of comparable size."""
    place_of = {item: index for index, items in enumerate(places) for item in items}
    most = max(len(items) for items in places)
    for index, (keyword, _) in enumerate(MOMENTS):
        parts: dict[str, list[Slice]] = defaultdict(list)
        for item in group.slices:
            parts[item.moment(index)].append(item)
        whole = all(len({place_of[item] for item in part}) == len(part) for part in parts.values())
        enough = all(len(part) >= max(FEWEST_SLICES, len(places) / 2) for part in parts.values())
        if 1 < len(parts) <= 2 * most and "" not in parts and whole and enough:
            return tuple(replace(group, slices=tuple(part), moment=f"{keyword}={value}") for value, part in sorted(parts.items()))
    return ()


def _without_repeats(group: SliceGroup, places: list[list[Slice]], findings: Findings, same: Same) -> SliceGroup:
    counts = Counter(len(items) for items in places)
    equal = [all(same(items[0], other) for other in items[1:]) for items in places]
    unequal = [items for items, alike in zip(places, equal, strict=True) if not alike]
    evidence = {"positions": len(places), "slices": len(group.slices), "most_at_one_position": max(counts), "unequal": len(unequal)}
    if unequal and (len(counts) == 1 or len(places) < FEWEST_SLICES):
        message = f"expected one slice per position, each of {len(places)} positions holds {max(counts)} and nothing tells them apart"
        raise IngestError(IngestCode.TEMPORAL_STACK, message, evidence)
    if len(unequal) < sum(len(items) > 1 for items in places):
        message = f"expected one slice per position, {max(counts)} equal ones share a position"
        findings.settle(IngestCode.DUPLICATE_POSITION, message, evidence)
    if unequal:
        message = f"expected one slice per position, different ones share {len(unequal)} of {len(places)} positions"
        few = len(unequal) <= len(places) / 2
        if findings.settle(IngestCode.DUPLICATE_CONFLICT, message, evidence, repairable=few) is not Action.REPAIR:
            raise IngestError(IngestCode.DUPLICATE_CONFLICT, message, evidence)
    return replace(group, slices=tuple(items[0] for items in places), unusable=frozenset(items[0] for items in unequal))


def find_conflicts(files: list[FoundFile], same: Callable[[FoundFile, FoundFile], bool]) -> dict[str, IngestCode]:
    """Return the files (by relative path) whose identity contradicts another's; none of them is guessed to be the right one.

    ``DUPLICATE_FILE``: the same bytes again, or the same header and pixels in another encoding (all but the first).
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
    for members in instances.values():
        if len(members) > 1 and all(same(members[0], other) for other in members[1:]):
            conflicts |= {member.relative: IngestCode.DUPLICATE_FILE for member in members[1:]}
        elif len(members) > 1:
            conflicts |= {member.relative: IngestCode.DUPLICATE_UID_CONFLICT for member in members}
    for members in series.values():
        if len({raw_text(member.header, _IDENTITY[0]) for member in members if member.header is not None}) > 1:
            conflicts |= {member.relative: IngestCode.PATIENT_ID_COLLISION for member in members}
    return conflicts


def judge_headers(group: SliceGroup, findings: Findings) -> None:
    """Settle what the headers say of the whole group: how its voxels came about and how they are written.

    Raises:
        IngestError: ``DERIVED_MPR``, ``LOSSY_COMPRESSED``, ``MONOCHROME1`` or ``BAD_VR``, where the policy refuses them.
    """
    image_type = [part.upper() for part in group.slices[0].contrast[0].split("\\")]
    derived = next((word for word in ("MPR", "REFORMAT") for part in image_type if word in part), None)
    if derived is not None:
        findings.settle(IngestCode.DERIVED_MPR, "expected an acquired series, got a reformatted one", {"image_type": derived})
    headers = [file.header for file in group.files if file.header is not None]
    if any(raw_text(header, 0x00282110) == _LOSSY or transfer_syntax(header) in _LOSSY_SYNTAXES for header in headers):
        ratio = str(group.header.get("LossyImageCompressionRatio", ""))
        findings.settle(IngestCode.LOSSY_COMPRESSED, "expected lossless pixels, the image was compressed with loss", {"ratio": ratio})
    if any(raw_text(header, 0x00280004) == "MONOCHROME1" for header in headers):
        findings.settle(IngestCode.MONOCHROME1, "expected MONOCHROME2, the grey scale is shown inverted", {"values": "not inverted"})
    if any(IngestCode.BAD_VR in file.notes for file in group.files):
        findings.settle(IngestCode.BAD_VR, "expected known value representations, known attributes are written as UN", {"vr": "UN"})
