"""From a header to slices: each with its plane, its rescale and what tells it from its neighbours; one per frame of enhanced objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from data_contracts import IngestCode, IngestError
from medkd.dicom.discover import FoundFile
from medkd.dicom.raw_values import raw_int, raw_numbers, raw_text

#: What may tell slices at one position apart, most telling first: (keyword, functional group it lies in where the object is enhanced).
MOMENTS = (
    ("TemporalPositionIdentifier", None),
    ("TemporalPositionIndex", "FrameContentSequence"),
    ("EchoTime", None),
    ("EffectiveEchoTime", "MREchoSequence"),
    ("DiffusionBValue", "MRDiffusionSequence"),
    ("TriggerTime", None),
    ("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence"),
    ("NominalPercentageOfCardiacPhase", None),
    ("StackID", "FrameContentSequence"),
    ("AcquisitionNumber", None),
    ("FrameAcquisitionNumber", "FrameContentSequence"),
    ("AcquisitionTime", None),
    ("ContentTime", None),
)

#: ImageType, EchoNumbers, DiffusionBValue, FrameOfReferenceUID.
_CONTRAST = (0x00080008, 0x00180086, 0x00189087, 0x00200052)
_SHARED, _PER_FRAME = 0x52009229, 0x52009230


@dataclass(frozen=True, eq=False)
class Slice:
    """One plane of an image object.

    Attributes:
        file: where it lies.
        frame: index in the object's pixel data.
        position_mm: centre of its first voxel, LPS mm.
        orientation: six direction cosines.
        spacing_mm: between rows, between columns.
        matrix: rows, columns.
        slope: rescale slope, or None where the object states none.
        intercept: rescale intercept.
        contrast: image type, echo, b-value and frame of reference: slices that differ here never share a volume.
        groups: functional groups of the frame, then the shared ones; empty for single-frame objects.
    """

    file: FoundFile
    frame: int
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, float]
    matrix: tuple[int, int]
    slope: float | None
    intercept: float | None
    contrast: tuple[str, ...]
    groups: tuple[Dataset, ...] = ()

    @property
    def header(self) -> Dataset:
        """Return the object's header."""
        if self.file.header is None:
            raise ValueError("expected a slice of a readable object")
        return self.file.header

    def moment(self, index: int) -> str:
        """Return the value of one of :data:`MOMENTS`, "" where absent."""
        keyword, sequence = MOMENTS[index]
        found = _grouped(self.groups, keyword, sequence) if self.groups else self.header.get(keyword)
        if self.groups and found is None and sequence is None:
            found = self.header.get(keyword)
        return "" if found is None else str(found)


def slices_of(file: FoundFile) -> tuple[Slice, ...]:
    """Return the slices of an image object.

    Raises:
        IngestError: ``MISSING_POSITION`` naming what is missing, or ``ENHANCED_UNSUPPORTED``.
    """
    header = file.header
    if header is None:
        raise ValueError("expected a readable object")
    if _SHARED in header or _PER_FRAME in header:
        return _enhanced(file, header)
    if raw_int(header, 0x00280008, 1) > 1:
        raise IngestError(IngestCode.ENHANCED_UNSUPPORTED, "expected functional groups in a multi-frame object, there are none")
    spacing = _plane(_raw(header, 0x00280030), "PixelSpacing", 2, 0)
    slope, intercept = _raw(header, 0x00281053), _raw(header, 0x00281052)
    return (
        Slice(
            file=file,
            frame=0,
            position_mm=_plane(_raw(header, 0x00200032), "ImagePositionPatient", 3, 0),
            orientation=_plane(_raw(header, 0x00200037), "ImageOrientationPatient", 6, 0),
            spacing_mm=(spacing[0], spacing[1]),
            matrix=(raw_int(header, 0x00280010, 0), raw_int(header, 0x00280011, 0)),
            slope=slope[0] if slope else None,
            intercept=intercept[0] if intercept else None,
            contrast=tuple(raw_text(header, tag) for tag in _CONTRAST),
        ),
    )


def _raw(header: Dataset, tag: int) -> tuple[float, ...]:
    try:
        return raw_numbers(header, tag)
    except ValueError:
        return ()


def _plane(numbers: Any, keyword: str, length: int, frame: int) -> tuple[float, ...]:
    try:
        result = tuple(float(part) for part in numbers or ())
    except (TypeError, ValueError):
        result = ()
    if len(result) != length or not all(math.isfinite(part) for part in result):
        raise IngestError(
            IngestCode.MISSING_POSITION,
            f"expected {length} values of {keyword}, the geometry cannot be proved without",
            {"missing": keyword, "frame": frame},
        )
    return result


def _enhanced(file: FoundFile, header: Dataset) -> tuple[Slice, ...]:
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    frames = header.get("PerFrameFunctionalGroupsSequence") or []
    count = int(header.get("NumberOfFrames", 0) or 0)
    if count < 1 or (len(frames) not in (0, count)) or (not frames and count > 1):
        evidence = {"frames": count, "functional_groups": len(frames)}
        raise IngestError(
            IngestCode.ENHANCED_UNSUPPORTED, f"expected functional groups for each of {count} frames, got {len(frames)}", evidence
        )
    return tuple(_frame(file, index, header, (frames[index], shared) if frames else (shared,)) for index in range(count))


def _frame(file: FoundFile, index: int, header: Dataset, groups: tuple[Dataset, ...]) -> Slice:
    spacing = _plane(_grouped(groups, "PixelSpacing", "PixelMeasuresSequence"), "PixelSpacing", 2, index)
    rescale = "PixelValueTransformationSequence"
    return Slice(
        file=file,
        frame=index,
        position_mm=_plane(_grouped(groups, "ImagePositionPatient", "PlanePositionSequence"), "ImagePositionPatient", 3, index),
        orientation=_plane(_grouped(groups, "ImageOrientationPatient", "PlaneOrientationSequence"), "ImageOrientationPatient", 6, index),
        spacing_mm=(spacing[0], spacing[1]),
        matrix=(int(header.Rows), int(header.Columns)),
        slope=_number(_grouped(groups, "RescaleSlope", rescale)),
        intercept=_number(_grouped(groups, "RescaleIntercept", rescale)),
        contrast=_contrast(header, groups),
        groups=groups,
    )


def _grouped(groups: tuple[Dataset, ...], keyword: str, sequence: str | None) -> Any:
    """Return a value from the functional group it lies in, of the frame before the shared ones."""
    if sequence is None:
        return None
    for group in groups:
        if group.get(sequence):
            found = group[sequence].value[0].get(keyword)
            if found is not None:
                return found
    return None


def _number(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _contrast(header: Dataset, groups: tuple[Dataset, ...]) -> tuple[str, ...]:
    known = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")
    frame_types = (_grouped(groups, "FrameType", name) for name in known)
    frame_type = next((found for found in frame_types if found), None)
    shown = "\\".join(str(part) for part in frame_type) if frame_type else raw_text(header, _CONTRAST[0])
    return (shown, *(raw_text(header, tag) for tag in _CONTRAST[1:]))
