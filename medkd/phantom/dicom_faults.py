"""The phantom's faulty cases: small series whose Hounsfield units are a known function of the patient position, each with one fault.

A site can write them, send them through its own archive and export, and see what comes back. The value at any voxel of any volume made
of them is known without looking at a file: :func:`hounsfield_at`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from data_contracts import DataError, IngestCode
from medkd.seeds import derive_seed

Array = NDArray[np.float64]
_ROOT = "1.2.826.0.1.3680043.10.1561."
_INTERCEPT = -1024
#: What a second time point adds to every voxel, and what a contradicting duplicate adds.
TIME_STEP_HU, CONFLICT_HU = 90.0, 210.0


def hounsfield_at(points_lps_mm: Array, time: int = 0) -> Array:
    """Return the Hounsfield units at patient positions [..., 3]: smooth, different in every direction, between -900 and 1000."""
    x, y, z = np.moveaxis(points_lps_mm, -1, 0)
    values: Array = 50 + 300 * np.sin(x / 20) + 300 * np.sin(y / 25 + 1) + 300 * np.sin(z / 15 + 2) + TIME_STEP_HU * time
    return values


@dataclass(frozen=True)
class Variant:
    """How a case is scanned and written.

    Attributes:
        name: of the variant.
        turns: rotation of the scan about x, y, z in degrees: (0, 0, 0) is axial.
        spacing_mm: step, between rows, between columns.
        signed: stored values in two's complement.
        syntax: transfer syntax UID.
        slices: number of slices.
    """

    name: str
    turns: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spacing_mm: tuple[float, float, float] = (3.0, 1.5, 1.25)
    signed: bool = False
    syntax: str = ExplicitVRLittleEndian
    slices: int = 14

    def axes(self) -> Array:
        """Return the directions of growing slice, row and column as columns [3, 3]."""
        rotation = np.eye(3)
        for axis, degrees in enumerate(self.turns):
            c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            i, j = [k for k in range(3) if k != axis]
            turn = np.eye(3)
            turn[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
            rotation = turn @ rotation
        return np.asarray(rotation @ np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]]))


VARIANTS = (
    Variant("axial"),
    Variant("oblique", (12.0, -7.0, 20.0), (2.5, 0.9, 1.1), signed=True, syntax=ImplicitVRLittleEndian),
    Variant("sagittal", (0.0, 90.0, 90.0), (1.2, 1.0, 1.0), syntax=RLELossless, slices=16),
    Variant("coronal", (90.0, 0.0, 0.0), (5.0, 0.8, 0.8), signed=True, syntax=JPEG2000Lossless, slices=11),
    Variant("deflated", (-15.0, 5.0, 0.0), (4.0, 2.0, 1.0), syntax=DeflatedExplicitVRLittleEndian),
    Variant("big_endian", (3.0, 0.0, 45.0), (2.0, 1.2, 1.2), signed=True, syntax=ExplicitVRBigEndian),
)
#: JPEG 2000 encoders want at least 32 pixels.
_MATRIX = (34, 38)


@dataclass
class _Scan:
    """A series that is being made, and spoiled."""

    variant: Variant
    seed: int
    name: str
    origin: Array = field(default_factory=lambda: np.array([-18.0, 9.0, 31.0]))
    positions: Array = field(default_factory=lambda: np.zeros((0, 3)))
    times: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    datasets: list[Dataset] = field(default_factory=list)
    series: int = 1

    def uid(self, *parts: object) -> str:
        return f"{_ROOT}{derive_seed('case', self.seed, self.name, self.variant.name, *parts)}"

    def lay(self, places: NDArray[Any], *, shear: Array | None = None, times: NDArray[np.int64] | None = None) -> None:
        """Lay slices at places (in steps along the normal), moved sideways by ``shear`` mm per step."""
        normal = self.variant.axes()[:, 0]
        step = normal * self.variant.spacing_mm[0] + (0 if shear is None else shear)
        self.positions = self.origin + np.asarray(places, dtype=float)[:, None] * step
        self.times = np.zeros(len(self.positions), dtype=np.int64) if times is None else times

    def render(self) -> None:
        """Make a dataset of every slice laid so far."""
        for position, time in zip(self.positions, self.times, strict=True):
            self.datasets.append(self.slice(position, int(time)))

    def slice(self, position: Array, time: int, *, add: float = 0.0) -> Dataset:
        """Return the dataset of one slice, everywhere ``add`` HU brighter."""
        number = len(self.datasets)
        dataset = _identified(self, "slice", self.series, number, time)
        axes, spacing = self.variant.axes(), self.variant.spacing_mm
        dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SeriesInstanceUID, dataset.SeriesNumber = self.uid("series", self.series), self.series
        dataset.InstanceNumber = 1 + (number * 7) % 97
        dataset.AcquisitionNumber, dataset.AcquisitionTime = time + 1, f"{100000 + number:06d}"
        if (self.times > 0).any():
            dataset.TemporalPositionIdentifier = time + 1
        dataset.ImagePositionPatient = [_ds(v) for v in position]
        dataset.ImageOrientationPatient = [_ds(v) for v in (*axes[:, 2], *axes[:, 1])]
        dataset.PixelSpacing, dataset.SliceThickness = [spacing[1], spacing[2]], spacing[0]
        _pixels(dataset, self.values(position, time) + add, self.variant)
        return dataset

    def values(self, position: Array, time: int = 0) -> Array:
        """Return the Hounsfield units of one slice [row, column]."""
        axes, (_, between_rows, between_columns) = self.variant.axes(), self.variant.spacing_mm
        rows, columns = np.meshgrid(np.arange(_MATRIX[0]), np.arange(_MATRIX[1]), indexing="ij")
        points = position + rows[..., None] * between_rows * axes[:, 1] + columns[..., None] * between_columns * axes[:, 2]
        return hounsfield_at(points, time)


def _ds(value: float) -> str:
    return f"{value:.10f}"[:16]


def _identified(scan: _Scan, *name: object) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, scan.uid(*name)
    dataset.PatientName, dataset.PatientID = "Phantom^Faulty", f"CASE-{scan.seed}"
    dataset.PatientBirthDate, dataset.PatientSex = "19500515", "F"
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = scan.uid("study"), scan.uid("frame")
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20250203", "101112", "ACC4711"
    dataset.StudyID, dataset.ReferringPhysicianName, dataset.Manufacturer = "S1", "Referrer^Rita", "medkd phantom"
    return dataset


def _pixels(dataset: Dataset, hu: Array, variant: Variant, *, slope: float = 1.0, intercept: float = _INTERCEPT) -> None:
    stored = np.rint((hu - intercept) / slope)
    if variant.signed:
        intercept_signed = intercept + 1024 * slope
        stored, intercept = stored - 1024, intercept_signed
    dataset.Rows, dataset.Columns = hu.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(variant.signed)
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = _ds(slope), _ds(intercept), "HU"
    dataset.PixelData = stored.astype("<i2" if variant.signed else "<u2").tobytes()


Spoil = Callable[[_Scan], None]
#: See :class:`NastyCase`.
HALF = -1


def _whole(scan: _Scan) -> None:
    scan.lay(np.arange(scan.variant.slices))
    scan.render()


def _reversed(scan: _Scan) -> None:
    scan.lay(np.arange(scan.variant.slices)[::-1])
    scan.render()


def _tilted(scan: _Scan) -> None:
    scan.lay(np.arange(scan.variant.slices), shear=scan.variant.axes()[:, 1] * scan.variant.spacing_mm[0] * np.tan(np.radians(14.0)))
    scan.render()


def _changed(scan: _Scan) -> None:
    """The first half in steps of one, the second in steps of two."""
    half = scan.variant.slices // 2
    scan.lay(np.concatenate([np.arange(half), half - 1 + 2.0 * np.arange(1, half + 1)]))
    scan.render()


def _timed(scan: _Scan) -> None:
    places = np.tile(np.arange(scan.variant.slices), 2)
    scan.lay(places, times=np.repeat([0, 1], scan.variant.slices))
    scan.render()


def _missing(scan: _Scan) -> None:
    del scan.datasets[len(scan.datasets) // 3]


def _duplicate(scan: _Scan, add: float) -> None:
    middle = len(scan.datasets) // 2
    copy = scan.slice(scan.positions[middle], int(scan.times[middle]), add=add)
    copy.AcquisitionNumber, copy.AcquisitionTime = scan.datasets[middle].AcquisitionNumber, scan.datasets[middle].AcquisitionTime
    scan.datasets.append(copy)


def _localizer(scan: _Scan) -> None:
    extra = scan.slice(scan.origin + scan.variant.axes()[:, 2] * 11.0, 0)
    axes = scan.variant.axes()
    extra.ImageOrientationPatient = [_ds(v) for v in (*axes[:, 0], *axes[:, 1])]
    extra.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scan.datasets.insert(0, extra)


def _second_series(scan: _Scan) -> None:
    other = replace(scan, origin=scan.origin + scan.variant.axes() @ np.array([1.4, 3.0, 0.7]), series=2, datasets=[])
    other.lay(np.arange(scan.variant.slices))
    other.render()
    scan.datasets += other.datasets


def _slopes(scan: _Scan) -> None:
    for index, dataset in enumerate(scan.datasets):
        position = np.array([float(v) for v in dataset.ImagePositionPatient])
        _pixels(dataset, scan.values(position), scan.variant, slope=0.25 + 0.125 * (index % 5), intercept=-1024.0 - index % 3)


def _inverted(scan: _Scan) -> None:
    for dataset in scan.datasets:
        dataset.PhotometricInterpretation = "MONOCHROME1"


def _without_class(scan: _Scan) -> None:
    for dataset in scan.datasets:
        del dataset.SOPClassUID


def _padded(scan: _Scan) -> None:
    for dataset in scan.datasets:
        kind = "<i2" if scan.variant.signed else "<u2"
        stored = np.frombuffer(dataset.PixelData, dtype=kind).reshape(_MATRIX).copy()
        stored[:3, :4] = -2000 if scan.variant.signed else 60000
        dataset.PixelPaddingValue = -2000 if scan.variant.signed else 60000
        dataset["PixelPaddingValue"].VR = "SS" if scan.variant.signed else "US"
        dataset.PixelData = stored.tobytes()


def _enhanced(scan: _Scan) -> None:
    """Replace the slices by one enhanced object, frames shuffled."""
    shuffled = np.random.default_rng(scan.seed).permutation(len(scan.datasets))
    frames = [scan.datasets[index] for index in shuffled]
    whole, first = _identified(scan, "enhanced"), frames[0]
    whole.SOPClassUID = EnhancedCTImageStorage
    whole.Modality, whole.ImageType = "CT", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    whole.SeriesInstanceUID, whole.SeriesNumber, whole.InstanceNumber = first.SeriesInstanceUID, 1, 1
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(whole, keyword, getattr(first, keyword))
    whole.PhotometricInterpretation, whole.NumberOfFrames = first.PhotometricInterpretation, len(frames)
    whole.SharedFunctionalGroupsSequence = Sequence(
        [
            _item(
                PlaneOrientationSequence=_item(ImageOrientationPatient=first.ImageOrientationPatient),
                PixelMeasuresSequence=_item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness),
            )
        ]
    )
    whole.PerFrameFunctionalGroupsSequence = Sequence(
        [
            _item(
                PlanePositionSequence=_item(ImagePositionPatient=frame.ImagePositionPatient),
                FrameContentSequence=_item(FrameAcquisitionNumber=int(frame.AcquisitionNumber)),
                PixelValueTransformationSequence=_item(
                    RescaleIntercept=frame.RescaleIntercept, RescaleSlope=frame.RescaleSlope, RescaleType="HU"
                ),
            )
            for frame in frames
        ]
    )
    whole.PixelData = b"".join(frame.PixelData for frame in frames)
    scan.datasets = [whole]


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, Sequence([value]) if isinstance(value, Dataset) else value)
    return item


@dataclass(frozen=True)
class NastyCase:
    """One family of faults.

    Attributes:
        lay: makes the slices.
        spoil: spoils them, one after another.
        codes: of which ingestion by default must name one; empty where the case is accepted as it is.
        flags: which an accepted case must carry, by default or after repair.
        volumes: how many a right answer consists of, after repair.
        fills: slices that a repair has to invent; ``HALF`` where every second step of the second half is one.
        truncate: cut the middle slice's file short.
    """

    lay: Spoil
    spoil: tuple[Spoil, ...] = ()
    codes: frozenset[IngestCode] = frozenset()
    flags: frozenset[IngestCode] = frozenset()
    volumes: int = 1
    fills: int = 0
    truncate: bool = False

    def synthetic(self, variant: Variant) -> int:
        """Return how many slices a right repair invents."""
        return variant.slices // 2 if self.fills == HALF else self.fills


def _case(lay: Spoil, *spoil: Spoil, codes: tuple[IngestCode, ...] = (), flags: tuple[IngestCode, ...] = (), **more: Any) -> NastyCase:
    return NastyCase(lay, spoil, frozenset(codes), frozenset(flags), **more)


def _equal(scan: _Scan) -> None:
    _duplicate(scan, 0.0)


def _unequal(scan: _Scan) -> None:
    _duplicate(scan, CONFLICT_HU)


_C = IngestCode
#: What a file that breaks off is called: by its size, by its decoder, or, where the whole dataset is deflated, as unreadable.
_BROKEN = (_C.TRUNCATED_PIXELS, _C.DECODE_FAILED, _C.UNREADABLE_HEADER)
CASES: dict[str, NastyCase] = {
    "regular": _case(_whole),
    "reversed": _case(_reversed),
    "gantry_tilt": _case(_tilted, codes=(_C.GANTRY_TILT,)),
    "missing_slice": _case(_whole, _missing, codes=(_C.MISSING_SLICES,), fills=1),
    "duplicate_slice": _case(_whole, _equal, codes=(_C.DUPLICATE_POSITION,)),
    "duplicate_conflict": _case(_whole, _unequal, codes=(_C.DUPLICATE_CONFLICT,), fills=1),
    "spacing_change": _case(_changed, codes=(_C.VARIABLE_SPACING,), fills=HALF),
    "localizer_inside": _case(_whole, _localizer),
    "two_series": _case(_whole, _second_series, volumes=2),
    "two_time_points": _case(_timed, volumes=2),
    "slope_per_slice": _case(_whole, _slopes),
    "monochrome1": _case(_whole, _inverted, flags=(_C.MONOCHROME1,)),
    "truncated_slice": _case(_whole, codes=_BROKEN, truncate=True, fills=1),
    "enhanced": _case(_whole, _enhanced),
    "missing_sop_class": _case(_whole, _without_class, codes=(_C.MISSING_SOP_CLASS,)),
    "padding": _case(_whole, _padded, flags=(_C.PADDING_VALUE,)),
    # Two faults at once.
    "tilt_and_missing": _case(_tilted, _missing, codes=(_C.GANTRY_TILT, _C.MISSING_SLICES), fills=1),
    "tilt_and_padding": _case(_tilted, _padded, codes=(_C.GANTRY_TILT,), flags=(_C.PADDING_VALUE,)),
    "missing_and_duplicate": _case(_whole, _missing, _equal, codes=(_C.MISSING_SLICES, _C.DUPLICATE_POSITION), fills=1),
    "reversed_and_missing": _case(_reversed, _missing, codes=(_C.MISSING_SLICES,), fills=1),
    "conflict_and_localizer": _case(_whole, _unequal, _localizer, codes=(_C.DUPLICATE_CONFLICT,), fills=1),
    "times_and_missing": _case(_timed, _missing, codes=(_C.MISSING_SLICES,), volumes=2, fills=1),
    "change_and_inverted": _case(_changed, _inverted, codes=(_C.VARIABLE_SPACING,), flags=(_C.MONOCHROME1,), fills=HALF),
    "truncated_and_slopes": _case(_whole, _slopes, codes=_BROKEN, truncate=True, fills=1),
    "enhanced_and_missing": _case(_whole, _missing, _enhanced, codes=(_C.MISSING_SLICES,), fills=1),
    "series_and_class": _case(_whole, _second_series, _without_class, codes=(_C.MISSING_SOP_CLASS,), volumes=2),
}
COMBINED = tuple(list(CASES)[-10:])


def find_variant(name: str) -> Variant:
    """Return a variant by its name.

    Raises:
        DataError: ``VARIANT_UNKNOWN``.
    """
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    raise DataError("VARIANT_UNKNOWN", f"expected one of {', '.join(variant.name for variant in VARIANTS)}, got {name!r}")


def find_case(name: str) -> NastyCase:
    """Return a case by its name.

    Raises:
        DataError: ``CASE_UNKNOWN``.
    """
    if name not in CASES:
        raise DataError("CASE_UNKNOWN", f"expected one of {', '.join(CASES)}, got {name!r}")
    return CASES[name]


def write_case(out: Path, name: str, variant: Variant = VARIANTS[0], *, seed: int = 0) -> tuple[Path, ...]:
    """Write one faulty case as DICOM files and return their paths; the same seed writes the same bytes.

    Raises:
        DataError: ``CASE_UNKNOWN``.
    """
    case, scan = find_case(name), _Scan(variant, seed, name)
    case.lay(scan)
    for spoil in case.spoil:
        spoil(scan)
    out.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(scan.datasets))
    paths = []
    for number, index in enumerate(order):
        path = out / f"IM{number:04d}.dcm"
        _save(scan.datasets[index], path, variant.syntax)
        paths.append(path)
    if case.truncate:
        _truncate(paths[int(np.flatnonzero(order == len(order) // 2)[0])])
    return tuple(paths)


def _save(dataset: Dataset, path: Path, transfer_syntax: str) -> None:
    syntax = UID(transfer_syntax)
    meta = dataset.file_meta
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if syntax in (RLELossless, JPEG2000Lossless):
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset["PixelData"].VR = "OW"
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        meta.TransferSyntaxUID = syntax
        dataset["PixelData"].VR = "OW"
        dataset.PixelData = np.frombuffer(dataset.PixelData, dtype="<u2").astype(">u2").tobytes()
    else:
        meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)


def _truncate(path: Path) -> None:
    payload = path.read_bytes()
    path.write_bytes(payload[: len(payload) - min(600, len(payload) // 4)])
