"""From a header to slices: each with its plane, its rescale and what tells it from its neighbours; one per frame of enhanced objects."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from pydicom import Dataset

from data_contracts import IngestCode, IngestError
from medkd.dicom.found_file import FoundFile
from medkd.dicom.mosaic import MosaicLayout, mosaic_layout
from medkd.dicom.raw_values import raw_int, raw_text, read_numbers, tag_of
from medkd.dicom.real_world_value import RAW, real_world_value_map
from medkd.dicom.slice_attributes import GROUP_OF, KEPT_BY_MAKERS, attributes_of, private_attributes, shown

RESCALE_TYPE = 0x00281054
#: ImageType, EchoNumbers, DiffusionBValue, FrameOfReferenceUID.
CONTRAST = (0x00080008, 0x00180086, 0x00189087, 0x00200052)
_SHARED, _PER_FRAME = tag_of(0x52009229), tag_of(0x52009230)


@dataclass(frozen=True, eq=False)
class Slice:
    """One plane of an image object.

    Attributes:
        file: where it lies.
        frame: index in the object's pixel data.
        position_mm: centre of its first voxel, LPS mm; () of a frame of a picture.
        orientation: six direction cosines; () of a frame of a picture.
        spacing_mm: between rows, between columns; zeros of a frame of a picture.
        matrix: rows, columns.
        slope: rescale slope, or None where the object states none.
        intercept: rescale intercept.
        contrast: image type, echo, b-value and frame of reference: slices that differ here never share a volume.
        groups: functional groups of the frame, then the shared ones; empty for single-frame objects.
        rescale_type: RescaleType (0028,1054) as it is written, "" where the object states none.
        mapping: unit, slope and intercept of the only real-world value map, None where there is none. Where the object
            states no rescale and the unit is known, ``slope`` and ``intercept`` are those of the map.
        notes: oddities of the header that were read all the same.
        tile: number of the tile in a mosaic, None of a picture that is one slice.
        picture: rows, columns of the picture that the slice lies in, where it is not the slice itself.
        corner: row, column of the slice's first pixel in that picture.
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
    rescale_type: str = ""
    mapping: tuple[str, float, float] | None = None
    notes: tuple[IngestCode, ...] = ()
    tile: int | None = None
    picture: tuple[int, int] | None = None
    corner: tuple[int, int] = (0, 0)

    @property
    def header(self) -> Dataset:
        """Return the object's header."""
        if self.file.header is None:
            raise ValueError("expected a slice of a readable object")
        return self.file.header

    @property
    def place(self) -> str:
        """Return which slice of which bytes this is."""
        return f"{self.file.digest}/{self.frame}" + ("" if self.tile is None else f"/{self.tile}")

    def value(self, keyword: str) -> str:
        """Return an attribute of the slice as text, "" where absent: of its frame, of all frames, of the object."""
        if not self.groups:
            return shown(self.header, keyword) or (self._private.get(keyword, "") if keyword in KEPT_BY_MAKERS else "")
        if keyword in GROUP_OF and "attributes" not in self.__dict__:
            # One group is asked: all of them are read only where slices share a position.
            item = _holder(self.groups, keyword, GROUP_OF[keyword])
            return shown(item if item is not None else self.header, keyword)
        return self.attributes.get(keyword, "") or shown(self.header, keyword)

    @cached_property
    def attributes(self) -> dict[str, str]:
        """Return every standard attribute of the slice that may tell it from others: keyword → text.

        Of single-frame objects those of the header and of the items below it, of frames those of their functional groups.
        """
        return attributes_of(self.groups or (self.header,), self._private)

    @cached_property
    def _private(self) -> dict[str, str]:
        return private_attributes(self.header)


def slices_of(file: FoundFile) -> tuple[Slice, ...]:
    """Return the slices of an image object.

    Raises:
        IngestError: ``MISSING_POSITION`` naming what is missing, ``UNREADABLE_NUMBER``, ``ENHANCED_UNSUPPORTED`` or ``MOSAIC``.
    """
    header = file.header
    if header is None:
        raise ValueError(f"expected a readable object, {file.relative} is none")
    if _SHARED in header or _PER_FRAME in header:
        return _enhanced(file, header)
    if raw_int(header, 0x00280008, 1) > 1:
        frames = raw_int(header, 0x00280008, 1)
        # Multi-frame objects of the older kind (ultrasound, nuclear medicine) state no place of each frame.
        raise IngestError(IngestCode.ENHANCED_UNSUPPORTED, f"expected functional groups in an object of {frames} frames, there are none")
    read = SliceReader(0)
    spacing = read.plane(header, "PixelSpacing", 2)
    mapping = real_world_value_map((header,))
    slope, intercept = read.rescale(header, mapping)
    whole = Slice(
        file=file,
        frame=0,
        position_mm=read.plane(header, "ImagePositionPatient", 3),
        orientation=read.plane(header, "ImageOrientationPatient", 6),
        spacing_mm=(spacing[0], spacing[1]),
        matrix=(raw_int(header, 0x00280010, 0), raw_int(header, 0x00280011, 0)),
        slope=slope,
        intercept=intercept,
        contrast=tuple(raw_text(header, tag) for tag in CONTRAST),
        rescale_type=raw_text(header, RESCALE_TYPE),
        mapping=mapping,
        notes=read.notes(),
    )
    layout = mosaic_layout(header)
    return (whole,) if layout is None else tuple(_tile(whole, layout, number) for number in range(layout.tiles))


def _tile(whole: Slice, layout: MosaicLayout, number: int) -> Slice:
    """Return one slice of a mosaic. The position that the header states is that of a slice as large as the whole picture, round one centre."""
    rows, columns = layout.matrix
    along_columns, along_rows = np.array(whole.orientation[:3]), np.array(whole.orientation[3:])
    first = (
        np.array(whole.position_mm)
        + along_rows * whole.spacing_mm[0] * (whole.matrix[0] - rows) / 2
        + along_columns * whole.spacing_mm[1] * (whole.matrix[1] - columns) / 2
    )
    position = first + np.array(layout.step_mm) * number
    return replace(
        whole,
        position_mm=tuple(float(part) for part in position),
        matrix=layout.matrix,
        tile=number,
        picture=whole.matrix,
        # Tiles are counted row by row.
        corner=(number // layout.across * rows, number % layout.across * columns),
    )


class SliceReader:
    """Reads the numbers of one slice and remembers what was odd about them."""

    def __init__(self, frame: int) -> None:
        self.frame, self.comma = frame, False

    def notes(self) -> tuple[IngestCode, ...]:
        """Return what was odd."""
        return (IngestCode.DECIMAL_COMMA,) if self.comma else ()

    def numbers(self, dataset: Dataset | None, keyword: str) -> tuple[float, ...]:
        """Return the numbers of an attribute, () where it is absent or empty."""
        if dataset is None:
            return ()
        found = read_numbers(dataset, tag_of(keyword))
        if found.unreadable or not all(math.isfinite(value) for value in found.values):
            text = found.unreadable or "\\".join(map(str, found.values))
            evidence = {"attribute": keyword, "text": text, "frame": self.frame}
            raise IngestError(IngestCode.UNREADABLE_NUMBER, f"expected numbers in {keyword}, got {text!r}", evidence)
        self.comma |= found.comma
        return found.values

    def plane(self, dataset: Dataset | None, keyword: str, length: int) -> tuple[float, ...]:
        """Return the numbers of an attribute without which there is no geometry."""
        found = self.numbers(dataset, keyword)
        if len(found) != length:
            message = f"expected {length} values of {keyword}, the geometry cannot be verified without"
            raise IngestError(IngestCode.MISSING_POSITION, message, {"missing": keyword, "frame": self.frame, "values": len(found)})
        return found

    def rescale(self, dataset: Dataset, mapping: tuple[str, float, float] | None) -> tuple[float | None, float | None]:
        """Return slope and intercept, those of a real-world value map where there are no others, None where absent."""
        slope, intercept = self.numbers(dataset, "RescaleSlope"), self.numbers(dataset, "RescaleIntercept")
        if not slope and not intercept and mapping is not None and mapping[0] != RAW:
            return mapping[1:]
        return slope[0] if slope else None, intercept[0] if intercept else None


def _enhanced(file: FoundFile, header: Dataset) -> tuple[Slice, ...]:
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    frames = header.get("PerFrameFunctionalGroupsSequence") or []
    count = int(header.get("NumberOfFrames", 0) or 0)
    # One frame may say everything in the shared groups; of several each has a place of its own.
    if count < 1 or (len(frames) not in (0, count)) or (not frames and count > 1):
        evidence = {"frames": count, "functional_groups": len(frames)}
        raise IngestError(
            IngestCode.ENHANCED_UNSUPPORTED, f"expected functional groups for each of {count} frames, got {len(frames)}", evidence
        )
    return tuple(_frame(file, index, header, (frames[index], shared) if frames else (shared,)) for index in range(count))


def _frame(file: FoundFile, index: int, header: Dataset, groups: tuple[Dataset, ...]) -> Slice:
    read = SliceReader(index)
    spacing = read.plane(_holder(groups, "PixelSpacing", "PixelMeasuresSequence"), "PixelSpacing", 2)
    # Converters and derived objects leave the rescale at the top level, where that of single-frame objects is.
    stated = _holder(groups, "RescaleSlope", "PixelValueTransformationSequence") or header
    mapping = real_world_value_map((*groups, header))
    slope, intercept = read.rescale(stated, mapping)
    return Slice(
        file=file,
        frame=index,
        position_mm=read.plane(_holder(groups, "ImagePositionPatient", "PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=read.plane(_holder(groups, "ImageOrientationPatient", "PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        spacing_mm=(spacing[0], spacing[1]),
        matrix=(int(header.Rows), int(header.Columns)),
        slope=slope,
        intercept=intercept,
        contrast=_contrast(header, groups),
        groups=groups,
        rescale_type=raw_text(stated, RESCALE_TYPE),
        mapping=mapping,
        notes=read.notes(),
    )


def _holder(groups: tuple[Dataset, ...], keyword: str, sequence: str) -> Dataset | None:
    """Return the functional group that states an attribute, of the frame before the shared ones."""
    for group in groups:
        if group.get(sequence):
            item: Dataset = group[sequence].value[0]
            if keyword in item:
                return item
    return None


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


def _contrast(header: Dataset, groups: tuple[Dataset, ...]) -> tuple[str, ...]:
    # A frame has a type of its own, in a sequence of its class of image (PS3.3 C.8.13.5, C.8.15.3).
    known = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")
    frame_types = (_grouped(groups, "FrameType", name) for name in known)
    frame_type = next((found for found in frame_types if found), None)
    shown = "\\".join(str(part) for part in frame_type) if frame_type else raw_text(header, CONTRAST[0])
    return (shown, *(raw_text(header, tag) for tag in CONTRAST[1:]))
