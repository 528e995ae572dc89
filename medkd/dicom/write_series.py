"""A NIfTI volume written as a DICOM series, so that public research data can be asked about like a study.

NIfTI knows neither patient nor scanner: the series says that it is derived, its identifiers follow from the file's bytes, and its patient is
called after the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from data_contracts import DataError
from medkd.seeds import derive_seed
from medkd.storage.store import sha256_file
from medkd.volumes.orientation import Grid, read_nifti

SeriesModality = Literal["CT", "MR"]
_STORAGE: dict[SeriesModality, UID] = {"CT": CTImageStorage, "MR": MRImageStorage}
_ROOT = "1.2.826.0.1.3680043.10.1561."
#: Largest stored value: MR has no unit, so that any linear scale says the same.
_MOST = 4095
#: Axes of a DICOM image are at right angles; more than this between their cosines is a shear.
_RIGHT_ANGLE = 1e-3
_CT_RANGE = (-32768, 32767)


def series_of(source: Path, modality: SeriesModality) -> tuple[Dataset, ...]:
    """Return the slices of a NIfTI volume as DICOM; the same file gives the same slices.

    Args:
        source: NIfTI file of three dimensions; its voxels are neither moved nor resampled.
        modality: that the file does not say. ``MR`` values are brought to 0 to 4095, which keeps their order and ratios of differences;
            ``CT`` values are Hounsfield units and stay as they are, rounded.

    Raises:
        DataError: ``NIFTI_UNREADABLE`` for what is no volume of finite numbers, ``NIFTI_SHEARED`` for axes that DICOM cannot state,
            ``MODALITY_UNKNOWN``, ``NIFTI_RANGE`` for values that are no Hounsfield units.
    """
    if modality not in _STORAGE:
        raise DataError("MODALITY_UNKNOWN", f"expected one of {list(get_args(SeriesModality))} as modality, got {modality!r}")
    values, grid = _read(source)
    _require_right_angles(grid, source)
    pixels = _stored(values.astype(np.float64), modality, source)
    digest, patient = sha256_file(source), source.name.removesuffix(".gz").removesuffix(".nii")
    slices = tuple(image_of_slice(plane, grid, index, modality) for index, plane in enumerate(pixels))
    for index, dataset in enumerate(slices):
        dataset.PatientID = dataset.PatientName = patient[:64]
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, _uid(keyword, digest))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(_uid("slice", digest, index))
    return slices


def write_series(slices: Sequence[Dataset], out: Path) -> tuple[Path, ...]:
    """Write slices to a folder, a file each, and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = tuple(out / f"IM{index:04d}.dcm" for index in range(len(slices)))
    for path, dataset in zip(paths, slices, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return paths


def _read(source: Path) -> tuple[NDArray[Any], Grid]:
    try:
        values, grid = read_nifti(source)
        if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise ValueError(f"its values are not all finite numbers (type {values.dtype})")
    except Exception as error:  # readers of broken files raise anything
        raise DataError(
            "NIFTI_UNREADABLE", f"expected a NIfTI volume at {source}, it cannot be read ({' '.join(str(error).split())[:120]})"
        ) from error
    return values, grid


def _require_right_angles(grid: Grid, source: Path) -> None:
    axes = grid.affine_lps_mm[:3, :3] / np.asarray(grid.spacing_mm)
    between = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if between > _RIGHT_ANGLE:
        raise DataError(
            "NIFTI_SHEARED", f"expected axes at right angles in {source.name}, cosines between them reach {between:.3g}; resample it"
        )


def _stored(values: NDArray[np.float64], modality: SeriesModality, source: Path) -> NDArray[Any]:
    low, high = float(values.min()), float(values.max())
    if modality == "MR":
        return np.round((values - low) / max(high - low, 1e-12) * _MOST).astype(np.uint16)
    if low < _CT_RANGE[0] or high > _CT_RANGE[1]:
        raise DataError("NIFTI_RANGE", f"expected Hounsfield units in {source.name}, its values reach from {low:g} to {high:g}; is it CT?")
    return np.round(values).astype(np.int16)


def image_of_slice(plane: NDArray[Any], grid: Grid, index: int, modality: SeriesModality) -> Dataset:
    """Return stored values [row, column] as the image of a slice of a grid, without identifiers."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = _STORAGE[modality]
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.Modality, dataset.ImageType = modality, ["DERIVED", "SECONDARY", "OTHER"]
    dataset.SeriesDescription, dataset.SeriesNumber, dataset.InstanceNumber = "converted from NIfTI", 1, index + 1
    affine, spacing = grid.affine_lps_mm, grid.spacing_mm
    along_row, down_column = affine[:3, 2] / spacing[2], affine[:3, 1] / spacing[1]
    dataset.ImageOrientationPatient = [f"{value:.10g}" for value in (*along_row, *down_column)]
    dataset.ImagePositionPatient = [f"{value:.10g}" for value in (affine @ (index, 0, 0, 1))[:3]]
    dataset.PixelSpacing, dataset.SliceThickness = [f"{spacing[1]:.10g}", f"{spacing[2]:.10g}"], f"{spacing[0]:.10g}"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, int(modality == "CT")
    if modality == "CT":
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "HU"
    dataset.PixelData = np.ascontiguousarray(plane).tobytes()
    return dataset


def _uid(*words: object) -> str:
    return f"{_ROOT}{derive_seed('nifti', *words)}"
