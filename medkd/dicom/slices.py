"""From a header to slices: each with its plane, its rescale and what tells it from its neighbours; one per frame of enhanced objects."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag

from data_contracts import IngestCode, IngestError
from medkd.dicom.discover import FoundFile
from medkd.dicom.mosaic import MosaicLayout, mosaic_layout
from medkd.dicom.raw_values import raw_int, raw_text, read_numbers, tag_of

#: What may tell slices at one position apart, most telling first, and last the times of day.
MOMENTS = (
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "EchoTime",
    "EffectiveEchoTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "InversionTime",
    "InversionTimes",
    "FlipAngle",
    "KVP",
    "ConvolutionKernel",
    "ReconstructionDiameter",
    "FilterType",
    "FrameType",
    "ComplexImageComponent",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase",
    "CardiacCyclePosition",
    "StackID",
    "TemporalPositionTimeOffset",
    "FrameReferenceTime",
    "RepetitionTime",
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
    "ContentTime",
)
#: Between the attributes that together tell a group from others.
BETWEEN = "; "
#: What makes a voxel's value: images that differ here never share a volume without a word.
PHYSICS = ("KVP", "ConvolutionKernel", "EchoTime", "EffectiveEchoTime", "InversionTime", "FlipAngle")
#: Where the attributes lie in an enhanced object whose every frame is asked for them (PS3.3 C.7.6.16.2, C.8.13.5, C.8.15.3).
_PLACES = {
    "StackID": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
    "KVP": "CTXRayDetailsSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
}
#: Gradient directions and b-values that makers keep in private attributes: (group, creator, element, keyword it stands for).
_PRIVATE = (
    (0x0019, "SIEMENS MR HEADER", 0x0C, "DiffusionBValue"),
    (0x0019, "SIEMENS MR HEADER", 0x0E, "DiffusionGradientOrientation"),
    (0x0043, "GEMS_PARM_01", 0x39, "DiffusionBValue"),
    (0x0019, "GEMS_ACQU_01", 0xBB, "DiffusionGradientOrientation"),
    (0x2001, "Philips Imaging DD 001", 0x03, "DiffusionBValue"),
)
_OF_MAKERS = frozenset(keyword for _, _, _, keyword in _PRIVATE)
_TAGS = {keyword: tag_of(keyword) for keyword in (*MOMENTS, *PHYSICS)}
HOUNSFIELD, RAW = "HU", "raw"
#: Units of real-world value maps, codes of UCUM: a closed list, since free text may hold anything.
_UCUM = (
    *("mg/mL", "mg/ml", "g/mL", "g/ml", "g/cm3", "mg/cm3", "um2/s", "mm2/s", "10-6.mm2/s", "10-3.mm2/s", "s", "ms", "Bq/mL", "Bq/ml"),
    *("{SUVbw}g/ml", "{SUVbw}g/mL", "{SUVlbm}g/ml", "%", "[ppm]", "Hz", "mL/min", "/s", "1/s", "10+23/ml", "10*23/ml", "kPa"),
    *("ml/(100.g.min)", "mL/100mL", "cm/s", "mm/s"),
)
_NO_DIRECTION = "none"
_DECIMAL = frozenset({"DS", "FD", "FL"})

_RESCALE_TYPE, _REAL_WORLD = 0x00281054, tag_of(0x00409096)
#: ImageType, EchoNumbers, DiffusionBValue, FrameOfReferenceUID.
_CONTRAST = (0x00080008, 0x00180086, 0x00189087, 0x00200052)
_SHARED, _PER_FRAME = tag_of(0x52009229), tag_of(0x52009230)


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
        tag = _TAGS.get(keyword) or tag_of(keyword)
        if not self.groups:
            return _shown(self.header, tag) or (self._private.get(keyword, "") if keyword in _OF_MAKERS else "")
        if keyword in _PLACES and "attributes" not in self.__dict__:
            # One group is asked: all of them are read only where slices share a position.
            item = _holder(self.groups, keyword, _PLACES[keyword])
            return _shown(item if item is not None else self.header, tag)
        return self.attributes.get(keyword, "") or _shown(self.header, tag)

    @cached_property
    def attributes(self) -> dict[str, str]:
        """Return every standard attribute of the slice that may tell it from others: keyword → text.

        Of single-frame objects those of the header and of the items below it, of frames those of their functional groups.
        """
        found: dict[str, str] = {}
        for dataset in self.groups or (self.header,):
            _flatten(dataset, found)
        found |= {keyword: value for keyword, value in self._private.items() if keyword not in found}
        if found.get("DiffusionBValue") and "DiffusionGradientOrientation" not in found:
            found["DiffusionGradientOrientation"] = _NO_DIRECTION
        return found

    @cached_property
    def _private(self) -> dict[str, str]:
        """Return b-value and direction where the maker keeps them in private attributes."""
        found: dict[str, str] = {}
        for group, creator, element, keyword in _PRIVATE:
            try:
                block = self.header.private_block(group, creator)
                if element in block:
                    found.setdefault(keyword, _private_text(block[element].value))
            except Exception:  # private elements are as their maker likes
                continue
        if found.get("DiffusionBValue") and "DiffusionGradientOrientation" not in found:
            found["DiffusionGradientOrientation"] = _NO_DIRECTION
        return found


def slices_of(file: FoundFile) -> tuple[Slice, ...]:
    """Return the slices of an image object.

    Raises:
        IngestError: ``MISSING_POSITION`` naming what is missing, ``UNREADABLE_NUMBER``, ``ENHANCED_UNSUPPORTED`` or ``MOSAIC``.
    """
    header = file.header
    if header is None:
        raise ValueError("expected a readable object")
    if _SHARED in header or _PER_FRAME in header:
        return _enhanced(file, header)
    if raw_int(header, 0x00280008, 1) > 1:
        frames = raw_int(header, 0x00280008, 1)
        raise IngestError(IngestCode.ENHANCED_UNSUPPORTED, f"expected functional groups in an object of {frames} frames, there are none")
    read = _Reader(0)
    spacing = read.plane(header, "PixelSpacing", 2)
    mapping = _mapping((header,))
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
        contrast=tuple(raw_text(header, tag) for tag in _CONTRAST),
        rescale_type=raw_text(header, _RESCALE_TYPE),
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
        corner=(number // layout.across * rows, number % layout.across * columns),
    )


class _Reader:
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


def _mapping(places: tuple[Dataset, ...]) -> tuple[str, float, float] | None:
    """Return unit, slope and intercept of the one linear real-world value map (PS3.3 C.7.6.16.2.11), None where there is no such."""
    items: list[Dataset] = next((list(place[_REAL_WORLD].value or ()) for place in places if _REAL_WORLD in place), [])
    if len(items) != 1:
        return None
    slope, intercept = read_numbers(items[0], 0x00409225).values, read_numbers(items[0], 0x00409224).values
    units = items[0].get("MeasurementUnitsCodeSequence") or ()
    code = str(units[0].get("CodeValue", "")).strip() if units else ""
    unit = HOUNSFIELD if code == "[hnsf'U]" else code if code in _UCUM else RAW
    numbers = (*slope, *intercept)
    if len(slope) != 1 or len(numbers) != 2 or not code or not all(map(math.isfinite, numbers)):
        return None
    return unit, numbers[0], numbers[-1]


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
    read = _Reader(index)
    spacing = read.plane(_holder(groups, "PixelSpacing", "PixelMeasuresSequence"), "PixelSpacing", 2)
    # Converters and derived objects leave the rescale at the top level, where that of single-frame objects is.
    stated = _holder(groups, "RescaleSlope", "PixelValueTransformationSequence") or header
    mapping = _mapping((*groups, header))
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
        rescale_type=raw_text(stated, _RESCALE_TYPE),
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
    known = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")
    frame_types = (_grouped(groups, "FrameType", name) for name in known)
    frame_type = next((found for found in frame_types if found), None)
    shown = "\\".join(str(part) for part in frame_type) if frame_type else raw_text(header, _CONTRAST[0])
    return (shown, *(raw_text(header, tag) for tag in _CONTRAST[1:]))


#: What differs from image to image and tells no acquisitions apart: identities, places, what is computed of the pixels, how they are shown.
_INDIVIDUAL = re.compile(
    r"UID$|^InstanceNumber$|^ImagePosition|^ImageOrientation|^SliceLocation$|^InStackPositionNumber$|^DimensionIndexValues$|^Window|"
    r"^Smallest|^Largest|^Pixel(Data|Padding)|^Rescale|^LUT|^Instance|^Content(Date|Time)$|^TablePosition|^TableHeight|^Rows$|^Columns$|"
    r"^Referenced|^Icon|^Number|^XRayTubeCurrent|^Exposure|^CTDIvol|^RealWorld|^DataSetTrailing|^ImageComments$|^SOP|^FrameComments$|"
    r"^WaterEquivalent|^ImageIndex$|^Spectrally|^DataCollectionCenter|^ReconstructionTargetCenter|^CommentsOnThePerformed|^SliceProgression"
)
#: Representations of values that are neither names nor bytes.
_PLAIN = frozenset({"CS", "DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "SH", "LO", "TM", "DT", "DA"})


def _flatten(dataset: Dataset, found: dict[str, str]) -> None:
    for tag in list(dataset.keys()):
        if tag.group % 2 or tag in (_SHARED, _PER_FRAME):
            continue
        keyword = keyword_for_tag(tag)
        if not keyword:
            continue
        try:
            kind = dictionary_VR(tag)
            if kind == "SQ":
                if not _INDIVIDUAL.search(keyword):
                    for item in dataset[tag].value or ():
                        _flatten(item, found)
            elif kind in _PLAIN and not _INDIVIDUAL.search(keyword) and keyword not in found:
                text = _shown(dataset, tag)
                if text:
                    found[keyword] = text
        except Exception:  # a value that contradicts its representation tells nothing apart
            continue


def _shown(dataset: Dataset, tag: int) -> str:
    """Return a value as text; of numbers, equal ones are written alike."""
    text = raw_text(dataset, tag, known=True)
    kind = dictionary_VR(tag) if text else ""
    return "\\".join(_as_number(part, kind) for part in text.split("\\")) if kind in _DECIMAL else text


def _as_number(part: str, kind: str) -> str:
    try:
        # Rounded: makers compute directions anew for each image.
        rounded = float(f"{float(part.replace(',', '.')):.6g}") + 0.0
    except ValueError:
        return part.strip()
    return str(rounded) if kind in ("FD", "FL") else f"{rounded:g}"


def _private_text(value: Any) -> str:
    parts = [value] if isinstance(value, str | bytes) or not hasattr(value, "__iter__") else list(value)
    return "\\".join(_as_number(str(part), "DS") for part in parts if not isinstance(part, bytes))
