"""NIfTI label maps among DICOM: bound to the one volume on whose grid they lie."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Geometry, IngestCode, IngestError, PictureGrid
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile
from medkd.dicom.labels.bound import BoundLabel, combine, in_space
from medkd.dicom.labels.names import Called, Names
from medkd.volumes.orientation import Grid, canonical_axes, from_canonical, read_nifti

#: Corners of label and volume must agree to this share of a voxel.
TOLERANCE_VOXELS = 0.02
SUFFIXES = (".nii", ".nii.gz")
#: An image has more values than this; so may a label map.
FEW_VALUES = 8
#: Inside a label map most neighbours are alike; in an image fewer than this share are.
ALIKE = 0.4
#: An image of few grey levels: fewer neighbours than this are alike, and this share of the others are the next level of at least so many.
STEPPED, NEXT_LEVEL, LEVELS = 0.75, 0.9, 16


def is_nifti(path: Path) -> bool:
    """Return whether a file is NIfTI by its name."""
    return path.name.lower().endswith(SUFFIXES)


def bind_nifti(
    file: FoundFile,
    geometry: Geometry | PictureGrid,
    findings: Findings,
    names: Names | None = None,
    only: frozenset[int] | None = None,  # noqa: ARG001 - a label map has one part, and what is read is read alike
) -> BoundLabel:
    """Read a NIfTI label map onto the grid of a volume; axes are swapped and mirrored, nothing is resampled.

    A file with one structure is called by its file name, as models write them (``liver.nii.gz``); several are "label 1", "label 2", ….

    Raises:
        IngestError: ``NOT_A_LABEL``, ``LABEL_GEOMETRY_MISMATCH``, ``LABEL_UNSUPPORTED`` (not a map of small whole numbers), ``EMPTY_LABEL``,
            ``UNREADABLE_HEADER``.
    """
    geometry = in_space(geometry)
    values, grid = _read(file)
    _refuse_image(values)
    wanted = Grid(geometry.shape, np.asarray(geometry.affine_lps_mm))
    turn, turned = canonical_axes(wanted)
    off = _corner_distance(grid, turned)
    if grid.shape != turned.shape or off > TOLERANCE_VOXELS * min(turned.spacing_mm):
        evidence = {"shape": list(grid.shape), "volume": list(turned.shape), "corner_mm": off}
        raise IngestError(
            IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected the label on the volume's grid, corners differ by {off:.3f} mm", evidence
        )
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values.min() < 0 or values.max() > 255:
        finite = values[np.isfinite(values)]
        most = f"{finite.min():g} to {finite.max():g}" if finite.size else "no number"
        whole = "" if finite.size == values.size and (finite == np.rint(finite)).all() else ", not all of them whole numbers"
        raise IngestError(IngestCode.LABEL_UNSUPPORTED, f"expected whole numbers from 0 to 255 in a label map, got {most}{whole}")
    label = from_canonical(values.astype(np.uint8), turn)
    numbers = [int(value) for value in np.unique(label) if value]
    if not numbers:
        raise IngestError(IngestCode.EMPTY_LABEL, f"expected at least one labelled voxel, all {label.size} are 0")
    called = [_called(file, number, alone=len(numbers) == 1) for number in numbers]
    return combine({number: label == number for number in numbers}, (names or Names()).segments(called), off, findings)


def _called(file: FoundFile, number: int, *, alone: bool) -> Called:
    stem = PurePosixPath(file.relative).name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        stem = stem[: -len(suffix)] if stem.lower().endswith(suffix) else stem
    # A file name may stand for its only structure; of one among several it is no name.
    return Called(
        value=number, label=stem if alone else f"{stem} {number}", others=(f"label {number}", str(number)), fallback=f"label {number}"
    )


def _refuse_image(values: NDArray[Any]) -> None:
    """Tell an image from a label map: structures are pieces of one value, the values of an image change from voxel to voxel.

    Raises:
        IngestError: ``NOT_A_LABEL``.
    """
    levels, index = np.unique(values, return_inverse=True)
    if len(levels) <= FEW_VALUES:
        return
    index = index.reshape(values.shape)
    # Neither the background nor what an image is cut off at says anything.
    inside = (values != 0) & (index != len(levels) - 1) & (index != 0) if levels[0] != 0 else (values != 0) & (index != len(levels) - 1)
    pairs = alike = following = 0
    for axis in range(3):
        one, other = (np.moveaxis(index, axis, 0)[part] for part in (slice(1, None), slice(None, -1)))
        both = np.moveaxis(inside, axis, 0)[1:] & np.moveaxis(inside, axis, 0)[:-1]
        steps = np.abs(one[both] - other[both])
        pairs, alike, following = pairs + steps.size, alike + int((steps == 0).sum()), following + int((steps == 1).sum())
    if not pairs:
        return
    share = alike / pairs
    stepped = len(levels) > LEVELS and share < STEPPED and following >= NEXT_LEVEL * (pairs - alike)
    if share < ALIKE or stepped:
        evidence = {"values": len(levels), "neighbours_alike": round(share, 3), "lowest": float(levels[0]), "highest": float(levels[-1])}
        message = f"expected a label map, pieces of one number each, got an image: {len(levels)} values, {share:.0%} of neighbouring voxels are alike"
        raise IngestError(IngestCode.NOT_A_LABEL, message, evidence)


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
