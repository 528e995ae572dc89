"""The one place where LPS becomes RAS and back: NIfTI at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from data_contracts import DataError, Geometry, PictureGrid, VolumeRef
from data_contracts.private import open_private
from medkd.storage.store import Store

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Grid:
    """Where voxels lie: shape (slice, row, column) and the affine (slice, row, column, 1) → LPS mm, float64 [4, 4]."""

    shape: tuple[int, int, int]
    affine_lps_mm: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Return the length of a step along each axis."""
        lengths = np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0)
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))


def grid_of(geometry: Geometry | PictureGrid) -> Grid | None:
    """Return the grid of a volume; None of a picture, whose pixels lie nowhere in the patient."""
    return None if isinstance(geometry, PictureGrid) else Grid(geometry.shape, np.asarray(geometry.affine_lps_mm))


def require_space(volume: VolumeRef, purpose: str) -> Geometry:
    """Return the geometry of a volume.

    Args:
        volume: the volume.
        purpose: what a place in the patient is needed for, as the refusal says it.

    Raises:
        DataError: ``PICTURE_WITHOUT_SPACE`` for a picture.
    """
    if volume.space is None:
        text = f"expected a volume with a place in the patient for {purpose}, the image {volume.series_key} is a picture, which has none"
        raise DataError("PICTURE_WITHOUT_SPACE", text)
    return volume.space


def ras_affine(geometry: Geometry) -> NDArray[np.float64]:
    """Return the NIfTI affine, (column, row, slice) index → RAS mm, of a geometry kept as (slice, row, column) → LPS mm."""
    return ras_of(np.asarray(geometry.affine_lps_mm))


def ras_of(affine_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the NIfTI affine of an affine (slice, row, column) → LPS mm."""
    return _LPS_TO_RAS @ affine_lps_mm[:, [2, 1, 0, 3]]


def read_nifti(path: Path) -> tuple[NDArray[Any], Grid]:
    """Read a NIfTI file, its axes brought to (inferior to superior, posterior to anterior, left to right) as near as they come.

    Returns:
        Voxels [slice, row, column] and their grid. Axes are only swapped and mirrored, nothing is resampled.

    Raises:
        ValueError: not three-dimensional.
    """
    (values,), grid = read_nifti_images(path, 1)
    return values, grid


def read_nifti_images(path: Path, count: int) -> tuple[tuple[NDArray[Any], ...], Grid]:
    """Read the images that lie along the fourth axis of a NIfTI file, as :func:`read_nifti` reads one.

    Raises:
        ValueError: not so many volumes of one grid.
    """
    image = nibabel.as_closest_canonical(nibabel.load(path))
    values = np.asanyarray(image.dataobj)
    if values.ndim == 3 and count == 1:
        values = values[..., None]
    if values.ndim != 4 or values.shape[3] != count:
        wanted = "three dimensions" if count == 1 else f"{count} images along the fourth axis"
        raise ValueError(f"expected {wanted}, got the shape {values.shape}")
    return tuple(values[..., number].transpose(2, 1, 0) for number in range(count)), grid_of_ras(image.affine, values.shape[2::-1])


def grid_of_ras(affine_ras: NDArray[np.float64], shape: tuple[int, int, int]) -> Grid:
    """Return the grid of a NIfTI affine, (column, row, slice) index → RAS mm; ``shape`` is (slice, row, column)."""
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), (_LPS_TO_RAS @ affine_ras)[:, [2, 1, 0, 3]])


def write_nifti(store: Store, volume: VolumeRef, path: Path) -> Path:
    """Write a stored volume as NIfTI with axes (column, row, slice) and its affine in RAS mm; the header names no one."""
    values = store.read_arrays(volume.array)["volume"]
    return save_nifti(values, ras_affine(require_space(volume, "NIfTI")), path)


def save_nifti(values: NDArray[Any], affine_ras: NDArray[np.float64], path: Path) -> Path:
    """Write voxels [slice, row, column] with a NIfTI affine; the header names no one."""
    image = nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), affine_ras)
    image.header.set_xyzt_units("mm")
    open_private(path).close()  # nibabel writes into the file that is there
    nibabel.save(image, path)
    return path


def canonical_axes(grid: Grid) -> tuple[NDArray[np.float64], Grid]:
    """Return how a grid's axes are swapped and mirrored to those of :func:`read_nifti`, and the grid after that.

    The first is nibabel's orientation array over axes (column, row, slice); apply it with :func:`to_canonical`, undo it with
    :func:`from_canonical`.
    """
    affine = ras_of(grid.affine_lps_mm)
    turn = orientations.io_orientation(affine)
    shape = grid.shape[::-1]
    turned = affine @ orientations.inv_ornt_aff(turn, shape)
    columns, rows, slices = (int(shape[int(np.flatnonzero(turn[:, 0] == axis)[0])]) for axis in range(3))
    return turn, grid_of_ras(turned, (slices, rows, columns))


def to_canonical(values: NDArray[Any], turn: NDArray[np.float64]) -> NDArray[Any]:
    """Swap and mirror voxels [slice, row, column] by an orientation of :func:`canonical_axes`."""
    return np.ascontiguousarray(orientations.apply_orientation(values.transpose(2, 1, 0), turn).transpose(2, 1, 0))


def from_canonical(values: NDArray[Any], turn: NDArray[np.float64]) -> NDArray[Any]:
    """Undo :func:`to_canonical`."""
    back = orientations.ornt_transform(np.array([[0, 1], [1, 1], [2, 1]], dtype=float), turn)
    return np.ascontiguousarray(orientations.apply_orientation(values.transpose(2, 1, 0), back).transpose(2, 1, 0))
