"""RTSTRUCT: closed planar contours filled on the slices they were drawn on. Source: PS3.3 C.8.8.5, C.8.8.6."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from data_contracts import Geometry, IngestCode, IngestError
from medkd.dicom.discover import FoundFile, quiet_dicom
from medkd.dicom.findings import Findings
from medkd.dicom.labels.bound import BoundLabel, Mask, combine
from medkd.dicom.labels.contours import Points, fill_contours, precision_mm
from medkd.dicom.labels.names import Called, Names

#: A contour may lie this far (in slices) from the slice it was drawn on.
TOLERANCE_SLICES = 0.05


@dataclass
class _Region:
    """What was drawn of one region.

    Attributes:
        contours: points (row, column) in voxels of every contour, by slice.
        precision: of the points, in voxels.
        drawn: number of contours and points, whatever their kind.
        deviation_mm: largest distance of a contour from its slice.
    """

    contours: dict[int, list[Points]] = field(default_factory=lambda: defaultdict(list))
    precision: float = 0.0
    drawn: int = 0
    deviation_mm: float = 0.0


def bind_structure_set(file: FoundFile, geometry: Geometry, findings: Findings, names: Names | None = None) -> BoundLabel:
    """Fill the contours of every region onto the grid of a volume, by the rule of :mod:`medkd.dicom.labels.contours`.

    Raises:
        IngestError: ``OPEN_CONTOUR``, ``LABEL_GEOMETRY_MISMATCH``, ``UNKNOWN_SEGMENT``, ``EMPTY_LABEL``, ``LABEL_UNSUPPORTED``,
            ``OVERLAPPING_SEGMENTS`` or ``STRUCTURE_LOST``.
    """
    with quiet_dicom():
        dataset = dcmread(file.path)
        described = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or []}
        regions = {number: _Region() for number in described}
        for item in dataset.get("ROIContourSequence") or []:
            number = int(item.get("ReferencedROINumber", -1))
            if number not in regions:
                message = f"expected contours of a described region, they refer to number {number}"
                raise IngestError(IngestCode.UNKNOWN_SEGMENT, message, {"region": number})
            for contour in item.get("ContourSequence") or []:
                _add(regions[number], contour, geometry)
        # Numbers of regions are any integers; values of a label map are 1, 2, ….
        values = {number: value for value, number in enumerate(sorted(regions), start=1)}
        masks: dict[int, Mask] = {}
        lost: dict[int, str] = {}
        for number, region in regions.items():
            masks[values[number]], words = _mask(region, geometry.shape)
            if words:
                lost[values[number]] = words
        if not any(mask.any() for mask in masks.values()):
            message = "expected at least one contour that holds a voxel centre, there is none"
            raise IngestError(IngestCode.EMPTY_LABEL, message, {"regions": len(regions)})
        called = [_called(dataset, described[number], number, values[number]) for number in sorted(regions)]
        deviation = max(region.deviation_mm for region in regions.values())
        return combine(masks, (names or Names()).segments(called, dataset), deviation, findings, lost=lost)


def _add(region: _Region, contour: Dataset, geometry: Geometry) -> None:
    """Keep the points of one contour, on the slice it lies on."""
    kind = str(contour.get("ContourGeometricType", ""))
    region.drawn += 1
    if kind == "POINT":
        return
    if kind not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
        raise IngestError(IngestCode.OPEN_CONTOUR, f"expected closed planar contours, got {kind or 'none'}", {"type": kind})
    written = list(contour.get("ContourData") or [])
    if not written or len(written) % 3:
        return
    voxels = voxels_of(np.array([float(v) for v in written]).reshape(-1, 3), geometry)
    place = round(float(np.median(voxels[:, 0])))
    off = float(np.abs(voxels[:, 0] - place).max())
    if off > TOLERANCE_SLICES or not 0 <= place < geometry.shape[0]:
        evidence = {"slices_off": off, "slice": place, "slices": geometry.shape[0]}
        beside = f"one is {off:.3f} slices off" if off > TOLERANCE_SLICES else f"one lies on slice {place} of {geometry.shape[0]}"
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected each contour on a slice of the volume, {beside}", evidence)
    points = voxels[:, 1:]
    # A contour that is written twice is one contour; only the exclusive kind takes it back.
    if kind == "CLOSEDPLANAR_XOR" or not any(_same(points, other) for other in region.contours[place]):
        region.contours[place].append(points)
    region.precision = max(region.precision, precision_mm(written) / min(geometry.spacing_mm[1:]))
    region.deviation_mm = max(region.deviation_mm, off * geometry.spacing_mm[0])


def _same(one: Points, other: Points) -> bool:
    """Return whether two contours are one: the same points, from any of them on, either way round."""
    if one.shape != other.shape:
        return False
    start = int(np.abs(other - one[0]).sum(1).argmin())
    turned = np.roll(other, -start, axis=0)
    return bool(np.allclose(one, turned, atol=1e-6) or np.allclose(one, np.roll(turned[::-1], 1, axis=0), atol=1e-6))


def _mask(region: _Region, shape: tuple[int, int, int]) -> tuple[Mask, str]:
    """Return the voxels of a region, and in words what was drawn of it that holds none."""
    mask: Mask = np.zeros(shape, dtype=bool)
    for place, contours in region.contours.items():
        mask[place] = fill_contours(contours, shape[1:], region.precision)
    empty = sorted(place for place in region.contours if not mask[place].any())
    beyond = sorted(place for place, contours in region.contours.items() if any(_beyond(points, shape[1:]) for points in contours))
    if mask.any():
        drawn = f"of {len(region.contours)} that were drawn"
        words = [f"no voxel centre on slices {', '.join(map(str, empty))} {drawn}"] if empty else []
        words += [f"reaches beyond the image on slices {', '.join(map(str, beyond))} {drawn}"] if beyond else []
        return mask, "; ".join(words)
    if not region.contours:
        return mask, "never drawn" if not region.drawn else "single points only"
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
