"""A series of small slices whose Hounsfield units are a known function of the patient position, before anything is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from data_contracts import DataError
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
MATRIX = (34, 38)


@dataclass
class Scan:
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
        """Return a UID that the same scan gives the same parts, whichever machine makes it."""
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
        dataset = identified(self, "slice", self.series, number, time)
        axes, spacing = self.variant.axes(), self.variant.spacing_mm
        dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SeriesInstanceUID, dataset.SeriesNumber = self.uid("series", self.series), self.series
        # Numbers in no order of space: a reader that sorts by them is found out.
        dataset.InstanceNumber = 1 + (number * 7) % 97
        dataset.AcquisitionNumber, dataset.AcquisitionTime = time + 1, f"{100000 + number:06d}"
        if (self.times > 0).any():
            dataset.TemporalPositionIdentifier = time + 1
        dataset.ImagePositionPatient = [decimal_string(v) for v in position]
        dataset.ImageOrientationPatient = [decimal_string(v) for v in (*axes[:, 2], *axes[:, 1])]
        dataset.PixelSpacing, dataset.SliceThickness = [spacing[1], spacing[2]], spacing[0]
        write_pixels(dataset, self.values(position, time) + add, self.variant)
        return dataset

    def values(self, position: Array, time: int = 0) -> Array:
        """Return the Hounsfield units of one slice [row, column]."""
        axes, (_, between_rows, between_columns) = self.variant.axes(), self.variant.spacing_mm
        rows, columns = np.meshgrid(np.arange(MATRIX[0]), np.arange(MATRIX[1]), indexing="ij")
        points = position + rows[..., None] * between_rows * axes[:, 1] + columns[..., None] * between_columns * axes[:, 2]
        return hounsfield_at(points, time)


def identified(scan: Scan, *name: object) -> Dataset:
    """Return a dataset that says whose it is and of which study, and nothing of an image yet."""
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


def write_pixels(dataset: Dataset, hu: Array, variant: Variant, *, slope: float = 1.0, intercept: float = _INTERCEPT) -> None:
    """Store Hounsfield units [row, column] in a dataset, under a rescale that gives them back."""
    stored = np.rint((hu - intercept) / slope)
    # The same values in two's complement: readers that take the sign wrongly are off by the whole range.
    if variant.signed:
        intercept_signed = intercept + 1024 * slope
        stored, intercept = stored - 1024, intercept_signed
    dataset.Rows, dataset.Columns = hu.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(variant.signed)
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = decimal_string(slope), decimal_string(intercept), "HU"
    dataset.PixelData = stored.astype("<i2" if variant.signed else "<u2").tobytes()


def decimal_string(value: float) -> str:
    """Return a number as a decimal string."""
    # A decimal string has at most 16 characters (PS3.5 6.2, DS).
    return f"{value:.10f}"[:16]


def find_variant(name: str) -> Variant:
    """Return a variant by its name.

    Raises:
        DataError: ``VARIANT_UNKNOWN``.
    """
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    raise DataError("VARIANT_UNKNOWN", f"expected one of {', '.join(variant.name for variant in VARIANTS)}, got {name!r}")


def save_dataset(dataset: Dataset, path: Path, transfer_syntax: str) -> None:
    """Write a dataset with a file header, its pixels encoded as the transfer syntax says."""
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
