"""RTSTRUCT: closed planar contours filled on the slices they were drawn on. Source: PS3.3 C.8.8.5, C.8.8.6."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from data_contracts import Geometry, IngestCode, IngestError, PictureGrid, Segment
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile
from medkd.dicom.labels.bound import BoundLabel, Mask, Slices, combine, in_space, said_names
from medkd.dicom.labels.contours import Points, fill_contours, precision_mm
from medkd.dicom.labels.names import Called, Names
from medkd.dicom.quiet_dicom import quiet_dicom

#: Kinds of contours that enclose something, and the others of the standard: any other text is not repeated.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_KIND = re.compile(r"none|POINT|OPEN_PLANAR|OPEN_NONPLANAR|CLOSED_NONPLANAR")
#: A contour may lie this far (in slices) from the slice it was drawn on.
TOLERANCE_SLICES = 0.05
#: One that lies further off is nearest to a slice while it is less than this far from it: in the middle it is as near to another.
NEAREST_SLICES = 0.5 - 1e-6


@dataclass
class _Region:
    """What was drawn of one region.

    Attributes:
        contours: points (row, column) in voxels of every closed contour, by slice.
        exclusive: slices on which contours take one another back where they overlap.
        precision: of the points, in voxels.
        drawn: number of contours, whatever their kind.
        skipped: kind of contour that encloses nothing in a plane → how many.
        deviation_mm: largest distance of a contour from its slice.
        planes: how far, in slices, the plane of each contour is off its slice, beside ``contours``; 0 within the tolerance.
    """

    contours: dict[int, list[Points]] = field(default_factory=lambda: defaultdict(list))
    planes: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    exclusive: set[int] = field(default_factory=set)
    precision: float = 0.0
    drawn: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    deviation_mm: float = 0.0

    def off_plane(self) -> int:
        """Return how many contours lie between slices."""
        return sum(plane != 0 for planes in self.planes.values() for plane in planes)

    def keep_nearest(self) -> None:
        """Keep of each slice the contours of the plane nearest to it: those of another plane would be taken for holes and islands of these."""
        for place, planes in self.planes.items():
            nearest = min(planes, key=lambda plane: (abs(plane), plane))
            self.contours[place] = [points for points, plane in zip(self.contours[place], planes, strict=True) if plane == nearest]

    def said_skipped(self) -> str:
        return ", ".join(f"{count} {kind}" for kind, count in sorted(self.skipped.items()))


def bind_structure_set(
    file: FoundFile,
    geometry: Geometry | PictureGrid,
    findings: Findings,
    names: Names | None = None,
    only: frozenset[int] | None = None,
) -> BoundLabel:
    """Fill the contours of every region onto the grid of a volume, by the rule of :mod:`medkd.dicom.labels.contours`.

    Contours that are not closed in a plane enclose nothing: they are left out and flagged with the name of their region.

    Args:
        file: of the structure set.
        geometry: of the volume.
        findings: settles what is found.
        names: what regions may be called.
        only: contours (counted over all regions) that belong to the volume, None for all; regions that only others draw are left out.

    Raises:
        IngestError: ``OPEN_CONTOUR`` (no contour is closed), ``LABEL_GEOMETRY_MISMATCH``, ``CONTOUR_OFF_PLANE``, ``UNKNOWN_SEGMENT``, ``EMPTY_LABEL``,
            ``LABEL_UNSUPPORTED``, ``OVERLAPPING_SEGMENTS`` or ``STRUCTURE_LOST``.
    """
    geometry = in_space(geometry)
    with quiet_dicom():
        dataset = dcmread(file.path)
        described = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or []}
        # Numbers of regions are any integers; values of a label map are 1, 2, ….
        values = {number: value for value, number in enumerate(sorted(described), start=1)}
        called = [_called(dataset, described[number], number, values[number]) for number in sorted(described)]
        segments = (names or Names()).segments(called, dataset)
        regions = {number: _Region() for number in described}
        elsewhere: set[int] = set()
        for index, (number, contour) in enumerate(_contours(dataset)):
            if number not in regions:
                message = f"expected contours of a described region, they refer to number {number}"
                raise IngestError(IngestCode.UNKNOWN_SEGMENT, message, {"region": number})
            if only is None or index in only:
                _add(regions[number], contour, geometry)
            else:
                elsewhere.add(number)
        regions = {number: region for number, region in regions.items() if region.drawn or number not in elsewhere}
        segments = tuple(segment for segment in segments if segment.value in {values[number] for number in regions})
        by_value = {values[number]: region for number, region in regions.items()}
        _settle_open(by_value, segments, findings)
        _settle_off_plane(by_value, segments, findings, geometry)
        masks: dict[int, Mask] = {}
        lost: dict[int, str] = {}
        for number, region in regions.items():
            masks[values[number]], words = _mask(region, geometry.shape)
            if words:
                lost[values[number]] = words
        if not any(mask.any() for mask in masks.values()):
            message = "expected at least one contour that holds a voxel centre, there is none"
            raise IngestError(IngestCode.EMPTY_LABEL, message, {"regions": len(regions)})
        deviation = max(region.deviation_mm for region in regions.values())
        return combine(masks, segments, deviation, findings, lost=lost)


def structure_set_slices(file: FoundFile) -> list[Slices | None]:
    """Return of each contour of an RTSTRUCT on which slice of a volume it lies; None of one that encloses nothing.

    Raises:
        IngestError: only by what is returned: ``LABEL_GEOMETRY_MISMATCH``.
    """
    with quiet_dicom():
        drawn = [contour for _, contour in _contours(dcmread(file.path))]
        written = [None if _skipped(contour) else _points_mm(contour) for contour in drawn]

    def slices(points_mm: NDArray[np.float64], geometry: Geometry | PictureGrid) -> range:
        place, _, _ = _place(points_mm, in_space(geometry))
        return range(place, place + 1)

    return [None if points_mm is None else partial(slices, points_mm) for points_mm in written]


def _contours(dataset: Dataset) -> Iterator[tuple[int, Dataset]]:
    """Yield every contour with the number of its region, in the order in which they are written."""
    for item in dataset.get("ROIContourSequence") or []:
        number = int(item.get("ReferencedROINumber", -1))
        for contour in item.get("ContourSequence") or []:
            yield number, contour


def _skipped(contour: Dataset) -> str:
    """Return why a contour encloses nothing in a plane, "" where it may."""
    kind = str(contour.get("ContourGeometricType", "") or "none")
    if kind not in _CLOSED:
        return kind if _KIND.fullmatch(kind) else "of no defined kind"
    count = len(contour.get("ContourData") or [])
    return "" if count and count % 3 == 0 else f"{kind} of {count} coordinates"


def _settle_open(regions: Mapping[int, _Region], segments: Iterable[Segment], findings: Findings) -> None:
    """Flag what was left out of which region, by values of regions.

    Raises:
        IngestError: ``OPEN_CONTOUR`` where the policy refuses it, or where nothing else was drawn.
    """
    said = said_names(segments)
    found = {said[value]: dict(sorted(region.skipped.items())) for value, region in sorted(regions.items()) if region.skipped}
    if not found:
        return
    named = ", ".join(f"{said[value]} ({region.said_skipped()})" for value, region in sorted(regions.items()) if region.skipped)
    message, evidence = f"expected closed planar contours, left out are those of {named}", {"structures": found}
    if not any(region.contours for region in regions.values()):
        raise IngestError(IngestCode.OPEN_CONTOUR, f"expected closed planar contours, there is none: {named}", evidence)
    findings.resolve(IngestCode.OPEN_CONTOUR, message, evidence)


def _settle_off_plane(regions: Mapping[int, _Region], segments: Iterable[Segment], findings: Findings, geometry: Geometry) -> None:
    """Give contours between slices to the slices nearest to them, where the policy repairs that.

    Raises:
        IngestError: ``CONTOUR_OFF_PLANE`` where it does not.
    """
    said = said_names(segments)
    found = {said[value]: count for value, region in sorted(regions.items()) if (count := region.off_plane())}
    if not found:
        return
    worst = max(region.deviation_mm for region in regions.values())
    named = ", ".join(f"{count} of {name}" for name, count in found.items())
    message = f"expected each contour on a slice of the volume, between slices lie {named}, up to {worst:.3f} mm off in steps of {geometry.spacing_mm[0]:.3f} mm"
    findings.resolve(IngestCode.CONTOUR_OFF_PLANE, message, {"structures": found, "off_mm": worst})
    for region in regions.values():
        region.keep_nearest()


def _add(region: _Region, contour: Dataset, geometry: Geometry) -> None:
    """Keep the points of one contour, on the slice it lies on."""
    region.drawn += 1
    skipped = _skipped(contour)
    if skipped:
        region.skipped[skipped] += 1
        return
    place, off, points = _place(_points_mm(contour), geometry, NEAREST_SLICES)
    exclusive = contour.ContourGeometricType == "CLOSEDPLANAR_XOR"
    region.exclusive |= {place} if exclusive else set()
    # A contour that is written twice is one contour; only the exclusive kind takes it back.
    if exclusive or not any(_same(points, other) for other in region.contours[place]):
        region.contours[place].append(points)
        plane = float(np.median(voxels_of(_points_mm(contour), geometry)[:, 0])) - place
        # Rounded, so that contours of one plane are of one plane.
        region.planes[place].append(round(plane, 2) if off > TOLERANCE_SLICES else 0.0)
    region.precision = max(region.precision, precision_mm(list(contour.ContourData)) / min(geometry.spacing_mm[1:]))
    region.deviation_mm = max(region.deviation_mm, off * geometry.spacing_mm[0])


def _points_mm(contour: Dataset) -> NDArray[np.float64]:
    return np.array([float(value) for value in contour.ContourData]).reshape(-1, 3)


def _place(points_mm: NDArray[np.float64], geometry: Geometry, most_off: float = TOLERANCE_SLICES) -> tuple[int, float, Points]:
    """Return the slice of a contour [n, 3] in LPS mm, how many slices it is off (at most ``most_off``), and its points (row, column) in voxels.

    Raises:
        IngestError: ``LABEL_GEOMETRY_MISMATCH``.
    """
    voxels = voxels_of(points_mm, geometry)
    # The median: a single point that is off is what gets refused, and must not choose the slice.
    place = round(float(np.median(voxels[:, 0])))
    off = float(np.abs(voxels[:, 0] - place).max())
    if off > most_off or not 0 <= place < geometry.shape[0]:
        evidence = {"slices_off": off, "slice": place, "slices": geometry.shape[0]}
        beside = f"one is {off:.3f} slices off" if off > most_off else f"one lies on slice {place} of {geometry.shape[0]}"
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected each contour on a slice of the volume, {beside}", evidence)
    return place, off, voxels[:, 1:]


def _same(one: Points, other: Points) -> bool:
    """Return whether two contours are one: the same points, from any of them on, either way round."""
    if one.shape != other.shape:
        return False
    # Programs begin a contour where they like, and go round it either way.
    start = int(np.abs(other - one[0]).sum(1).argmin())
    turned = np.roll(other, -start, axis=0)
    return bool(np.allclose(one, turned, atol=1e-6) or np.allclose(one, np.roll(turned[::-1], 1, axis=0), atol=1e-6))


def _mask(region: _Region, shape: tuple[int, int, int]) -> tuple[Mask, str]:
    """Return the voxels of a region, and in words what was drawn of it that holds none."""
    mask: Mask = np.zeros(shape, dtype=bool)
    for place, contours in region.contours.items():
        mask[place] = fill_contours(contours, shape[1:], region.precision, exclusive=place in region.exclusive)
    empty = sorted(place for place in region.contours if not mask[place].any())
    beyond = sorted(place for place, contours in region.contours.items() if any(_beyond(points, shape[1:]) for points in contours))
    if mask.any():
        drawn = f"of {len(region.contours)} that were drawn"
        words = [f"no voxel centre on slices {', '.join(map(str, empty))} {drawn}"] if empty else []
        words += [f"reaches beyond the image on slices {', '.join(map(str, beyond))} {drawn}"] if beyond else []
        return mask, "; ".join(words)
    if not region.contours:
        return mask, f"no closed contour: {region.said_skipped()}" if region.skipped else "never drawn"
    return mask, f"{region.drawn} contours that hold no voxel centre, on slices {', '.join(map(str, empty))}"


def _beyond(points: Points, shape: tuple[int, int]) -> bool:
    """Return whether a contour leaves the image by more than a voxel: what lies there is cut off."""
    return bool((points < -1.5).any() or (points > np.array(shape) + 0.5).any())


def voxels_of(points_lps_mm: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Return the voxel coordinates (slice, row, column) [n, 3] of points [n, 3] in LPS mm."""
    affine = np.asarray(geometry.affine_lps_mm)
    return np.asarray(np.linalg.solve(affine[:3, :3], (points_lps_mm - affine[:3, 3]).T).T)


def _called(dataset: Dataset, region: Dataset, number: int, value: int) -> Called:
    """Return what a region is called. Source: PS3.3 C.8.8.5 (ROI name), C.8.8.8 (observation label, interpreted type, code)."""
    observed = [item for item in dataset.get("RTROIObservationsSequence") or [] if int(item.get("ReferencedROINumber", -1)) == number] or [
        Dataset()
    ]
    coded = next(
        (item["RTROIIdentificationCodeSequence"].value[0] for item in observed if item.get("RTROIIdentificationCodeSequence")), None
    )
    return Called(
        value=value,
        label=str(region.get("ROIName", "") or ""),
        others=tuple(str(item.get(key, "") or "") for item in observed for key in ("ROIObservationLabel",)),
        **coded_type(coded),
        kind=next((text for item in observed if (text := str(item.get("RTROIInterpretedType", "") or ""))), ""),
        fallback=f"region {number}",
    )


def coded_type(coded: Dataset | None) -> dict[str, str]:
    """Return scheme, code and meaning of a code item, empty where there is none."""
    if coded is None:
        return {"scheme": "", "code": "", "meaning": ""}
    value = coded.get("CodeValue") or coded.get("LongCodeValue") or coded.get("URNCodeValue") or ""
    return {
        "scheme": str(coded.get("CodingSchemeDesignator", "") or ""),
        "code": str(value),
        "meaning": str(coded.get("CodeMeaning", "") or ""),
    }
