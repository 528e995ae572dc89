"""NIfTI label maps among DICOM: bound to the one volume on whose grid they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Geometry, IngestCode, IngestError, Segment
from medkd.dicom.discover import FoundFile
from medkd.dicom.findings import Findings
from medkd.dicom.labels.bound import BoundLabel, combine
from medkd.volumes.orientation import Grid, canonical_axes, from_canonical, read_nifti

#: Corners of label and volume must agree to this share of a voxel.
TOLERANCE_VOXELS = 0.02
SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: Path) -> bool:
    """Return whether a file is NIfTI by its name."""
    return path.name.lower().endswith(SUFFIXES)


def bind_nifti(file: FoundFile, geometry: Geometry, findings: Findings) -> BoundLabel:
    """Read a NIfTI label map onto the grid of a volume; axes are swapped and mirrored, nothing is resampled.

    Raises:
        IngestError: ``LABEL_GEOMETRY_MISMATCH``, ``LABEL_UNSUPPORTED`` (not a map of small whole numbers), ``EMPTY_LABEL``,
            ``UNREADABLE_HEADER``.
    """
    values, grid = _read(file)
    wanted = Grid(geometry.shape, np.asarray(geometry.affine_lps_mm))
    turn, turned = canonical_axes(wanted)
    off = _corner_distance(grid, turned)
    if grid.shape != turned.shape or off > TOLERANCE_VOXELS * min(turned.spacing_mm):
        evidence = {"shape": list(grid.shape), "volume": list(turned.shape), "corner_mm": off}
        raise IngestError(
            IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected the label on the volume's grid, corners differ by {off:.3f} mm", evidence
        )
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values.min() < 0 or values.max() > 255:
        raise IngestError(IngestCode.LABEL_UNSUPPORTED, "expected whole numbers from 0 to 255 in a label map")
    label = from_canonical(values.astype(np.uint8), turn)
    numbers = [int(value) for value in np.unique(label) if value]
    if not numbers:
        raise IngestError(IngestCode.EMPTY_LABEL, "expected at least one labelled voxel, the label is empty")
    segments = tuple(Segment(value=number, name=f"label {number}") for number in numbers)
    return combine({number: label == number for number in numbers}, segments, off, findings)


def _read(file: FoundFile) -> tuple[NDArray[Any], Grid]:
    try:
        return read_nifti(file.path)
    except Exception as error:  # nibabel raises what it likes
        raise IngestError(IngestCode.UNREADABLE_HEADER, f"expected a readable NIfTI file ({type(error).__name__})") from error


def _corner_distance(one: Grid, other: Grid) -> float:
    """Return the largest distance in mm between the same corners of two grids."""
    shape = np.array(other.shape) - 1
    corners = np.array([[(bits >> axis & 1) * shape[axis] for axis in range(3)] + [1] for bits in range(8)]).T
    return float(np.linalg.norm(((one.affine_lps_mm - other.affine_lps_mm) @ corners)[:3], axis=0).max())
