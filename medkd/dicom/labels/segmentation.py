"""DICOM SEG: binary, fractional and label map segmentations, each frame placed by its own geometry. Source: PS3.3 C.8.20, A.51, A.84."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from data_contracts import Geometry, IngestCode, IngestError, Segment
from medkd.dicom.classify import LABELMAP_STORAGE
from medkd.dicom.decode import decode_frames
from medkd.dicom.discover import FoundFile, quiet_dicom
from medkd.dicom.findings import Findings
from medkd.dicom.labels.bound import BoundLabel, Mask, combine

#: A frame may lie this far (in voxels) from a slice of the volume.
TOLERANCE_VOXELS = 0.02
_CLASS = re.compile(r"^class=([a-z][a-z_]{0,31})$")
#: Fractions from here on are labelled.
AT_LEAST = 0.5


def bind_segmentation(file: FoundFile, geometry: Geometry, findings: Findings) -> BoundLabel:
    """Read a DICOM SEG onto the grid of a volume. Frames may cover a part of the volume's matrix when they lie on its voxels.

    Raises:
        IngestError: ``LABEL_UNSUPPORTED``, ``LABEL_GEOMETRY_MISMATCH``, ``EMPTY_LABEL``, ``OVERLAPPING_SEGMENTS``,
            ``UNKNOWN_SEGMENT`` or ``DECODE_FAILED``.
    """
    with quiet_dicom():
        dataset = dcmread(file.path)
        kind = "LABELMAP" if str(dataset.SOPClassUID) == LABELMAP_STORAGE else str(dataset.get("SegmentationType", "none"))
        if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
            raise IngestError(IngestCode.LABEL_UNSUPPORTED, f"expected a binary, fractional or label map segmentation, got {kind}")
        known = {int(item.SegmentNumber): item for item in dataset.get("SegmentSequence") or []}
        background = int(dataset.get("PixelPaddingValue", 0) or 0) if kind == "LABELMAP" else 0
        known.pop(background, None)
        pixels = decode_frames(dataset, purpose="segmentation frames")
        fractions = {number: np.zeros(geometry.shape, dtype=np.uint8) for number in known} if kind == "FRACTIONAL" else {}
        masks: dict[int, Mask] = {number: np.zeros(geometry.shape, dtype=bool) for number in known}
        deviation = 0.0
        for index, frame in enumerate(pixels):
            place, off = place_frame(dataset, index, geometry)
            deviation = max(deviation, off)
            for number, part in _segments_of(dataset, index, frame, kind, background).items():
                if number not in known:
                    message = f"expected a described segment, frame {index} refers to number {number}"
                    raise IngestError(IngestCode.UNKNOWN_SEGMENT, message, {"frame": index, "segment": number})
                if kind == "FRACTIONAL":
                    fractions[number][place] = part
                masks[number][place] |= part >= AT_LEAST * 255 if kind == "FRACTIONAL" else part > 0
        if kind == "FRACTIONAL":
            message = "expected voxels that belong to a segment or do not, got fractions"
            findings.settle(IngestCode.FRACTIONAL_LABEL, message, {"type": str(dataset.get("SegmentationFractionalType", ""))})
        segments = tuple(_segment(number, item) for number, item in sorted(known.items()))
        if not masks:
            raise IngestError(IngestCode.EMPTY_LABEL, "expected at least one described segment, there is none")
        return combine(masks, segments, deviation, findings, fractions=fractions, class_label=_class_label(known))


def _segments_of(dataset: Dataset, index: int, frame: NDArray[np.uint8], kind: str, background: int) -> dict[int, NDArray[np.uint8]]:
    """Return the segments of one frame: 1 (or 255 · fraction) inside."""
    if kind == "LABELMAP":
        return {int(value): (frame == value).astype(np.uint8) for value in np.unique(frame) if value != background}
    own, shared = _groups(dataset, index)
    number = int(_group(own, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
    if kind == "FRACTIONAL":
        most = float(dataset.get("MaximumFractionalValue", 255) or 255)
        return {number: np.rint(frame.astype(np.float64) * 255 / most).clip(0, 255).astype(np.uint8)}
    return {number: frame}


def place_frame(dataset: Dataset, index: int, geometry: Geometry) -> tuple[tuple[int, slice, slice], float]:
    """Return where one frame lies in the volume (slice, rows, columns) and its distance from there in mm.

    Raises:
        IngestError: ``LABEL_GEOMETRY_MISMATCH`` when it does not lie on voxels of the volume.
    """
    own, shared = _groups(dataset, index)
    position = np.array(_group(own, shared, "PlanePositionSequence").ImagePositionPatient, dtype=float)
    orientation = np.array(_group(own, shared, "PlaneOrientationSequence").ImageOrientationPatient, dtype=float)
    spacing = np.array(_group(own, shared, "PixelMeasuresSequence").PixelSpacing, dtype=float)
    affine = np.asarray(geometry.affine_lps_mm)
    steps = np.stack([orientation[3:] * spacing[0], orientation[:3] * spacing[1]], axis=1)
    voxel = np.linalg.solve(affine[:3, :3], position - affine[:3, 3])
    first = np.rint(voxel).astype(int)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    drift = float(np.abs(voxel - first).max())
    skew = float(np.abs(steps - affine[:3, 1:3]).max() * max(rows, columns) / spacing.min())
    inside = bool((first >= 0).all() and (first + np.array([1, rows, columns]) <= geometry.shape).all())
    if drift > TOLERANCE_VOXELS or skew > 0.5 or not inside:
        evidence = {"frame": index, "voxels_off": drift, "corner_voxels_off": skew, "inside": inside}
        raise IngestError(
            IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected frame {index} on a slice of the volume, it is {drift:.3f} voxels off", evidence
        )
    off = float(np.linalg.norm(position - np.asarray(geometry.position_lps_mm(*(float(v) for v in first)))))
    place, row, column = (int(v) for v in first)
    return (place, slice(row, row + rows), slice(column, column + columns)), off


def _groups(dataset: Dataset, index: int) -> tuple[Dataset, Dataset]:
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    if index >= len(frames):
        message = f"expected functional groups for frame {index}, there are {len(frames)}"
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, message, {"frame": index})
    return frames[index], shared[0]


def _group(own: Dataset, shared: Dataset, keyword: str) -> Dataset:
    source = own if keyword in own else shared
    if not source.get(keyword):
        raise IngestError(
            IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected {keyword} in the functional groups, it is missing", {"missing": keyword}
        )
    first: Dataset = source[keyword].value[0]
    return first


def _segment(number: int, item: Dataset) -> Segment:
    """Keep the coded type of a segment, not its free text: labels and descriptions may hold identifiers."""
    coded = item.get("SegmentedPropertyTypeCodeSequence")
    name = str(coded[0].get("CodeMeaning", "segment")) if coded else "segment"
    return Segment(value=number, name=name[:64])


def _class_label(known: dict[int, Dataset]) -> str | None:
    found = {match.group(1) for item in known.values() if (match := _CLASS.match(str(item.get("SegmentDescription", ""))))}
    return found.pop() if len(found) == 1 else None
