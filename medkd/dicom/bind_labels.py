"""DICOM SEG onto a volume's grid: by the geometry of each frame, never by the order of files or frames."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from torch import Tensor

from data_contracts import Geometry, IngestCode, IngestError, Segment
from medkd.dicom.discover import FoundFile, quiet_dicom

#: A frame may lie this far (in voxels) from a slice of the volume.
TOLERANCE_VOXELS = 0.02
_CLASS = re.compile(r"^class=([a-z][a-z_]{0,31})$")


@dataclass(frozen=True)
class BoundLabel:
    """A label on the volume's grid.

    Attributes:
        array: uint8 [slice, row, column], 0 background, otherwise the segment's value.
        segments: value, name and tracking id of each.
        class_label: class of the study when the segmentation states one (``SegmentDescription`` "class=NAME"), else None.
        deviation_mm: largest distance of a frame from the slice it was bound to.
    """

    array: Tensor
    segments: tuple[Segment, ...]
    class_label: str | None
    deviation_mm: float


def bind_segmentation(file: FoundFile, geometry: Geometry) -> BoundLabel:
    """Read a binary DICOM SEG onto the grid of a volume.

    Raises:
        IngestError: ``LABEL_UNSUPPORTED``, ``LABEL_GEOMETRY_MISMATCH``, ``EMPTY_LABEL``, ``OVERLAPPING_SEGMENTS``,
            ``UNKNOWN_SEGMENT`` or ``DECODE_FAILED``.
    """
    with quiet_dicom():
        dataset = dcmread(file.path)
        if str(dataset.get("SegmentationType", "")) != "BINARY":
            raise IngestError(
                IngestCode.LABEL_UNSUPPORTED, f"expected a BINARY segmentation, got {dataset.get('SegmentationType', 'none')}"
            )
        frames = _frames(dataset)
        known = {int(item.SegmentNumber): item for item in dataset.SegmentSequence}
        label, deviation = np.zeros(geometry.shape, dtype=np.uint8), 0.0
        for index, pixels in enumerate(frames):
            number, place, off = _place(dataset, index, geometry)
            if number not in known:
                raise IngestError(IngestCode.UNKNOWN_SEGMENT, f"expected a described segment, frame {index} refers to number {number}")
            deviation = max(deviation, off)
            taken = label[place][pixels > 0]
            if ((taken != 0) & (taken != number)).any():
                raise IngestError(IngestCode.OVERLAPPING_SEGMENTS, "expected segments that do not overlap", {"segment": number})
            label[place][pixels > 0] = number
    if not label.any():
        raise IngestError(IngestCode.EMPTY_LABEL, "expected at least one labelled voxel, the segmentation is empty")
    segments = tuple(_segment(number, item) for number, item in sorted(known.items()))
    return BoundLabel(torch.from_numpy(label), segments, _class_label(known), deviation)


def _frames(dataset: Dataset) -> NDArray[np.uint8]:
    try:
        frames = np.asarray(dataset.pixel_array)
    except Exception as error:  # decoders raise what they like
        raise IngestError(IngestCode.DECODE_FAILED, f"expected decodable segmentation frames ({type(error).__name__})") from error
    return frames if frames.ndim == 3 else frames[None]


def _place(dataset: Dataset, index: int, geometry: Geometry) -> tuple[int, int, float]:
    """Return segment number, slice index and distance in mm of one frame, its orientation and spacing checked."""
    own = dataset.PerFrameFunctionalGroupsSequence[index]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    number = int(_group(own, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
    position = np.array(_group(own, shared, "PlanePositionSequence").ImagePositionPatient, dtype=float)
    orientation = np.array(_group(own, shared, "PlaneOrientationSequence").ImageOrientationPatient, dtype=float)
    spacing = np.array(_group(own, shared, "PixelMeasuresSequence").PixelSpacing, dtype=float)
    affine = np.asarray(geometry.affine_lps_mm)
    steps = np.stack([orientation[3:] * spacing[0], orientation[:3] * spacing[1]], axis=1)
    voxel = np.linalg.solve(affine[:3, :3], position - affine[:3, 3])
    place = round(float(voxel[0]))
    drift = float(np.abs(voxel - [place, 0, 0]).max())
    skew = float(np.abs(steps - affine[:3, 1:3]).max() * max(geometry.shape[1:]) / spacing.min())
    same_matrix = (int(dataset.Rows), int(dataset.Columns)) == geometry.shape[1:]
    if drift > TOLERANCE_VOXELS or skew > 0.5 or not same_matrix or not 0 <= place < geometry.shape[0]:
        evidence = {"frame": index, "voxels_off": drift, "corner_voxels_off": skew, "same_matrix": same_matrix}
        raise IngestError(
            IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected frame {index} on a slice of the volume, it is {drift:.3f} voxels off", evidence
        )
    off = float(np.linalg.norm(position - np.asarray(geometry.position_lps_mm(place, 0, 0))))
    return number, place, off


def _group(own: Dataset, shared: Dataset, keyword: str) -> Dataset:
    source = own if keyword in own else shared
    if keyword not in source:
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
