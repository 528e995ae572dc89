"""RTSTRUCT: closed planar contours filled on the slices they were drawn on. Source: PS3.3 C.8.8.5, C.8.8.6."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from skimage.draw import polygon

from data_contracts import Geometry, IngestCode, IngestError, Segment
from medkd.dicom.discover import FoundFile, quiet_dicom
from medkd.dicom.findings import Findings
from medkd.dicom.labels.bound import BoundLabel, Mask, combine

#: A contour may lie this far (in slices) from the slice it was drawn on.
TOLERANCE_SLICES = 0.05


def referenced_instances(header: Dataset) -> set[str]:
    """Return the instance UIDs of all images that contours say they were drawn on."""
    found = set()
    for roi in header.get("ROIContourSequence") or []:
        for contour in roi.get("ContourSequence") or []:
            found |= {str(image.get("ReferencedSOPInstanceUID", "")) for image in contour.get("ContourImageSequence") or []}
    for frame in header.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                found |= {str(image.get("ReferencedSOPInstanceUID", "")) for image in series.get("ContourImageSequence") or []}
    return found - {""}


def bind_structure_set(file: FoundFile, geometry: Geometry, findings: Findings) -> BoundLabel:
    """Fill the contours of every region onto the grid of a volume; contours inside others are holes (even-odd rule).

    Raises:
        IngestError: ``OPEN_CONTOUR``, ``LABEL_GEOMETRY_MISMATCH``, ``UNKNOWN_SEGMENT``, ``EMPTY_LABEL``, ``LABEL_UNSUPPORTED``,
            ``OVERLAPPING_SEGMENTS``.
    """
    with quiet_dicom():
        dataset = dcmread(file.path)
        regions = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or []}
        masks: dict[int, Mask] = {}
        deviation = 0.0
        for item in dataset.get("ROIContourSequence") or []:
            number = int(item.get("ReferencedROINumber", -1))
            if number not in regions:
                message = f"expected contours of a described region, they refer to number {number}"
                raise IngestError(IngestCode.UNKNOWN_SEGMENT, message, {"region": number})
            mask = np.zeros(geometry.shape, dtype=bool)
            for contour in item.get("ContourSequence") or []:
                deviation = max(deviation, _fill(mask, contour, geometry))
            if mask.any():
                masks[number] = mask
        if not masks:
            raise IngestError(IngestCode.EMPTY_LABEL, "expected at least one contour that holds a voxel, there is none")
        # Numbers of regions are any integers; values of a label map are 1, 2, ….
        values = {number: value for value, number in enumerate(sorted(masks), start=1)}
        segments = tuple(Segment(value=values[number], name=_name(dataset, number)) for number in sorted(masks))
        return combine({values[number]: mask for number, mask in masks.items()}, segments, deviation, findings)


def _fill(mask: Mask, contour: Dataset, geometry: Geometry) -> float:
    """Toggle the voxels whose centres lie inside one contour and return its distance from its slice in mm."""
    kind = str(contour.get("ContourGeometricType", ""))
    if kind == "POINT":
        return 0.0
    if kind not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
        raise IngestError(IngestCode.OPEN_CONTOUR, f"expected closed planar contours, got {kind or 'none'}", {"type": kind})
    points = np.array([float(v) for v in contour.get("ContourData") or []]).reshape(-1, 3)
    if len(points) < 3:
        return 0.0
    voxels = voxels_of(points, geometry)
    place = round(float(np.median(voxels[:, 0])))
    off = float(np.abs(voxels[:, 0] - place).max())
    if off > TOLERANCE_SLICES or not 0 <= place < geometry.shape[0]:
        evidence = {"slices_off": off, "slice": place}
        raise IngestError(
            IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected each contour on a slice of the volume, one is {off:.3f} slices off", evidence
        )
    rows, columns = polygon(voxels[:, 1], voxels[:, 2], geometry.shape[1:])
    mask[place, rows, columns] ^= True
    return off * geometry.spacing_mm[0]


def voxels_of(points_lps_mm: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Return the voxel coordinates (slice, row, column) [n, 3] of points [n, 3] in LPS mm."""
    affine = np.asarray(geometry.affine_lps_mm)
    return np.asarray(np.linalg.solve(affine[:3, :3], (points_lps_mm - affine[:3, 3]).T).T)


def _name(dataset: Dataset, number: int) -> str:
    """Return the coded or interpreted type of a region; its free name may hold identifiers."""
    for item in dataset.get("RTROIObservationsSequence") or []:
        if int(item.get("ReferencedROINumber", -1)) == number:
            coded = item.get("RTROIIdentificationCodeSequence")
            if coded:
                return str(coded[0].get("CodeMeaning", "region"))[:64]
            return str(item.get("RTROIInterpretedType", "") or f"region {number}").lower()[:64]
    return f"region {number}"
