"""Reading back: every object by a validator, every voxel by two readers or three, every segment's place and volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from data_contracts import DataError, Geometry, ReadBack
from medkd.results import readers
from medkd.results.ohif import reader as ohif
from medkd.results.ohif.reader import OhifReader

#: A segment may lie and weigh as much beside itself: what single precision explains.
MOST_CENTROID_MM, MOST_VOLUME_SHARE = 0.1, 1e-3
#: OHIF's reader as a certificate names it.
_VIEWER = "@cornerstonejs/adapters {}"


def certify(path: Path) -> ReadBack:
    """Validate an object.

    Raises:
        DataError: ``RESULT_INVALID`` with the first error that dciodvfy finds.
    """
    errors, first = readers.validate(path)
    if errors:
        raise DataError("RESULT_INVALID", f"expected no error in {path.name} by dciodvfy, found {errors}: {first}")
    return ReadBack(file=path.name, reader=readers.named("dicom3tools"))


def certify_segments(path: Path, labels: NDArray[np.uint8], geometry: Geometry, viewer: OhifReader | None = None) -> tuple[ReadBack, ...]:
    """Read the segments of a SEG back by two readers, and by OHIF's where it is installed.

    Args:
        path: the SEG.
        labels: number of the segment of every voxel as it was to be written.
        geometry: of the volume.
        viewer: OHIF's reader of the study's objects, where it is installed.

    Raises:
        DataError: ``RESULT_DIFFERS`` for a voxel, a centroid or a volume that another reader finds elsewhere.
    """
    asked: list[tuple[str, Callable[[Path, Geometry], NDArray[np.uint8]]]] = [
        (readers.named("dcmqi"), readers.read_segments_dcmqi),
        (readers.named("pydicom"), readers.read_segments_by_position),
    ]
    if viewer is not None:
        asked.append((_VIEWER.format(ohif.version()), lambda path, _: viewer.read_segments(path)))
    return tuple(_same_segments(path, name, read(path, geometry), labels, geometry) for name, read in asked)


def certify_map(path: Path, values: NDArray[np.float32], geometry: Geometry, viewer: OhifReader | None = None) -> tuple[ReadBack, ...]:
    """Read the values of a Parametric Map back by two readers, and by OHIF's where it is installed, every bit.

    Args:
        path: the map.
        values: as they were to be written [slice, row, column].
        geometry: of the volume.
        viewer: OHIF's reader of the study's objects, where it is installed.

    Raises:
        DataError: ``RESULT_DIFFERS``.
    """
    asked: list[tuple[str, Callable[[Path, Geometry], NDArray[np.float32]]]] = [
        (readers.named("dcmqi"), readers.read_map_dcmqi),
        (readers.named("pydicom"), readers.read_map_by_position),
    ]
    if viewer is not None:
        asked.append((_VIEWER.format(ohif.version()), lambda path, _: viewer.read_map(path)))
    found = []
    for name, read in asked:
        differing = int((read(path, geometry) != values.astype(np.float32)).sum())
        if differing:
            raise DataError("RESULT_DIFFERS", f"expected every voxel of {path.name} from {name}, {differing} of {values.size} differ")
        found.append(ReadBack(file=path.name, reader=name, voxels=values.size))
    return tuple(found)


def _same_segments(path: Path, reader: str, read: NDArray[np.uint8], labels: NDArray[np.uint8], geometry: Geometry) -> ReadBack:
    differing = int(np.count_nonzero(read != labels))
    here, there = _extents(labels, geometry), _extents(read, geometry)
    worst_mm = worst_share = 0.0
    for number, (voxels, centroid) in here.items():
        found, place = there.get(number, (0, None))
        worst_share = max(worst_share, abs(found / voxels - 1))
        worst_mm = max(worst_mm, np.inf if place is None else float(np.linalg.norm(place - centroid)))
    if differing or worst_mm > MOST_CENTROID_MM or worst_share > MOST_VOLUME_SHARE:
        raise DataError(
            "RESULT_DIFFERS",
            f"expected every voxel of {path.name} from {reader}, {differing} of {labels.size} differ (centroid {worst_mm:.3f} mm, "
            f"volume {worst_share:.4f})",
        )
    return ReadBack(
        file=path.name, reader=reader, voxels=labels.size, voxels_differing=0, worst_centroid_mm=worst_mm, worst_volume_share=worst_share
    )


def _extents(labels: NDArray[np.uint8], geometry: Geometry) -> dict[int, tuple[int, NDArray[np.float64]]]:
    """Return how many voxels each segment has, and its centroid in mm (LPS)."""
    affine = np.asarray(geometry.affine_lps_mm)
    flat = np.flatnonzero(labels)  # many times faster than of three axes
    numbers, places = labels.ravel()[flat], np.stack(np.unravel_index(flat, labels.shape), axis=1)
    found = {}
    for number in np.unique(numbers):
        own = places[numbers == number]
        found[int(number)] = (len(own), np.asarray(own.mean(0) @ affine[:3, :3].T + affine[:3, 3], dtype=np.float64))
    return found


def header_of(path: Path) -> Any:
    """Return the header of an object that was written."""
    return pydicom.dcmread(path, stop_before_pixels=True)
