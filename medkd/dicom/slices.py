"""From a header to slices: each with its plane, its rescale and what tells it from its neighbours; one per frame of enhanced objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from data_contracts import IngestCode, IngestError
from medkd.dicom.discover import FoundFile

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


@dataclass(frozen=True)
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
        moments: values of :data:`MOMENTS`, "" where absent.
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
    moments: tuple[str, ...]

    @property
    def header(self) -> Dataset:
        """Return the object's header."""
        if self.file.header is None:
            raise ValueError("expected a slice of a readable object")
        return self.file.header


def slices_of(file: FoundFile) -> tuple[Slice, ...]:
    """Return the slices of an image object.

    Raises:
        IngestError: ``MISSING_POSITION`` naming what is missing, ``ENHANCED_UNSUPPORTED``, ``NONLINEAR_LUT``.
    """
    header = file.header
    if header is None:
        raise ValueError("expected a readable object")
    if "SharedFunctionalGroupsSequence" in header or "PerFrameFunctionalGroupsSequence" in header:
        return _enhanced(file, header)
    if int(header.get("NumberOfFrames", 1) or 1) > 1:
        raise IngestError(IngestCode.ENHANCED_UNSUPPORTED, "expected functional groups in a multi-frame object, there are none")
    return (_slice(file, 0, header, [header]),)


def _enhanced(file: FoundFile, header: Dataset) -> tuple[Slice, ...]:
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    frames = header.get("PerFrameFunctionalGroupsSequence") or []
    count = int(header.get("NumberOfFrames", 0) or 0)
    if count < 1 or (len(frames) not in (0, count)) or (not frames and count > 1):
        evidence = {"frames": count, "functional_groups": len(frames)}
        raise IngestError(
            IngestCode.ENHANCED_UNSUPPORTED, f"expected functional groups for each of {count} frames, got {len(frames)}", evidence
        )
    return tuple(_slice(file, index, header, [frames[index], shared] if frames else [shared]) for index in range(count))


def _slice(file: FoundFile, frame: int, header: Dataset, sources: list[Dataset]) -> Slice:
    enhanced = sources[0] is not header

    def value(keyword: str, sequence: str | None) -> Any:
        if enhanced and sequence is not None:
            for source in sources:
                if source.get(sequence):
                    found = source[sequence].value[0].get(keyword)
                    if found is not None:
                        return found
            return None
        return header.get(keyword)

    def numbers(keyword: str, sequence: str, length: int) -> tuple[float, ...]:
        found = value(keyword, sequence)
        try:
            result = tuple(float(part) for part in found or ())
        except (TypeError, ValueError):
            result = ()
        if len(result) != length or not all(math.isfinite(part) for part in result):
            raise IngestError(
                IngestCode.MISSING_POSITION,
                f"expected {length} values of {keyword}, the geometry cannot be proved without",
                {"missing": keyword, "frame": frame},
            )
        return result

    spacing = numbers("PixelSpacing", "PixelMeasuresSequence", 2)
    rescale = "PixelValueTransformationSequence"
    return Slice(
        file=file,
        frame=frame,
        position_mm=numbers("ImagePositionPatient", "PlanePositionSequence", 3),
        orientation=numbers("ImageOrientationPatient", "PlaneOrientationSequence", 6),
        spacing_mm=(spacing[0], spacing[1]),
        matrix=(int(header.Rows), int(header.Columns)),
        slope=_number(value("RescaleSlope", rescale)),
        intercept=_number(value("RescaleIntercept", rescale)),
        contrast=_contrast(header, value("FrameType", _frame_type(sources)) if enhanced else None),
        moments=tuple(str(found) if (found := value(keyword, group)) is not None else "" for keyword, group in MOMENTS),
    )


def _frame_type(sources: list[Dataset]) -> str:
    known = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")
    return next((name for name in known for source in sources if name in source), known[0])


def _number(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _contrast(header: Dataset, frame_type: Any) -> tuple[str, ...]:
    parts = frame_type or header.get("ImageType", None) or ()
    image_type = "\\".join(str(part) for part in parts)
    return (image_type, *(str(header.get(keyword, "")) for keyword in ("EchoNumbers", "DiffusionBValue", "FrameOfReferenceUID")))
