"""Programs of others that read what we wrote: dciodvfy, dcmqi, and a reader that knows nothing but the standard's positions."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray

from data_contracts import DataError, Geometry, MissingDependencyError

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]
_SECONDS = 300.0
#: How far a voxel that was read may lie from one of the volume, in voxels: what the single precision of a NIfTI header explains.
_ON_GRID = 2e-2


def require_readers() -> None:
    """Refuse to begin without the programs that read everything back.

    Raises:
        MissingDependencyError: ``RESULT_READERS``.
    """
    for package in ("dicom3tools", "dcmqi"):
        try:
            version(package)
        except PackageNotFoundError as error:
            raise MissingDependencyError(
                "RESULT_READERS", f"expected {package}, by which DICOM results are read back before they count; pip install '.[results]'"
            ) from error


def validate(path: Path) -> tuple[int, str]:
    """Return how many errors dciodvfy finds in an object, and the first of them."""
    said = _run("dciodvfy", str(path), ends=(0, 1))
    errors = [line for line in (said.stderr + said.stdout).splitlines() if line.startswith("Error")]
    return len(errors), errors[0] if errors else ""


def named(package: str) -> str:
    """Return a reader with its version, as a certificate names it."""
    return f"{ {'dicom3tools': 'dciodvfy'}.get(package, package) } {version(package)}"


def read_segments_dcmqi(path: Path, geometry: Geometry) -> Labels:
    """Return the segment number of every voxel as dcmqi reads a SEG (0 for none)."""
    found = np.zeros(geometry.shape, np.uint8)
    with tempfile.TemporaryDirectory(prefix="medkd-dcmqi-") as folder:
        _run("segimage2itkimage", "--inputDICOM", str(path), "--outputDirectory", folder, "-t", "nii")
        for file in sorted(Path(folder).glob("*.nii.gz")):
            _place(file, geometry, found)
    return found


def read_map_dcmqi(path: Path, geometry: Geometry) -> Floats:
    """Return the values of a Parametric Map as dcmqi reads them; NaN where it has none."""
    found = np.full(geometry.shape, np.nan, np.float32)
    with tempfile.TemporaryDirectory(prefix="medkd-dcmqi-") as folder:
        _run("paramap2itkimage", "--inputDICOM", str(path), "--outputDirectory", folder, "-t", "nii")
        for file in sorted(Path(folder).glob("*.nii.gz")):
            _place(file, geometry, found)
    return found


def _place(file: Path, geometry: Geometry, found: NDArray[Any]) -> None:
    """Lay an image of another program on our grid by where it says that its voxels lie; zero does not cover what another file laid."""
    image: Any = nibabel.load(file)
    values = np.asarray(image.dataobj)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    to_ours = np.linalg.inv(np.asarray(geometry.affine_lps_mm)) @ lps
    # Where all voxels lie on ours, each axis runs along one of ours; how far any lies beside is largest at a corner.
    steps = np.rint(to_ours[:3, :3]).astype(int)
    corners = np.array(list(product(*((0, size - 1) for size in values.shape)))).T
    at = to_ours[:3, :3] @ corners + to_ours[:3, 3:]
    first = np.rint(to_ours[:3, 3]).astype(int)
    index = steps @ corners + first[:, None]
    aligned = (np.abs(steps).sum(0) == 1).all() and (np.abs(steps).sum(1) == 1).all()
    if not aligned or np.abs(at - index).max() > _ON_GRID or (index < 0).any() or (index >= np.array(geometry.shape)[:, None]).any():
        raise DataError(
            "RESULT_PLACE", f"expected voxels on those of the volume, {file.name} lies {np.abs(at - index).max():.3f} voxels beside"
        )
    turned = values.transpose([int(np.abs(steps[axis]).argmax()) for axis in range(3)])
    # An axis that runs the other way begins at its far end.
    turned = turned[tuple(slice(None, None, int(steps[axis].sum())) for axis in range(3))]
    place = tuple(slice(int(low), int(low) + size) for low, size in zip(index.min(1), turned.shape, strict=True))
    if found.dtype.kind == "f":
        found[place] = turned
    else:
        np.copyto(found[place], turned, where=turned > 0, casting="unsafe")


def read_segments_by_position(path: Path, geometry: Geometry) -> Labels:
    """Return the segment number of every voxel by pydicom alone: each frame goes where it says that it lies."""
    dataset = pydicom.dcmread(path)
    frames = np.asarray(dataset.pixel_array)
    found = np.zeros(geometry.shape, np.uint8)
    labelmap = dataset.SegmentationType == "LABELMAP"
    for frame, pixels in zip(dataset.PerFrameFunctionalGroupsSequence, frames if frames.ndim == 3 else frames[None], strict=True):
        place = _slice_of(frame, geometry)
        if labelmap:
            found[place] = pixels
        else:
            found[place][pixels > 0] = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    return found


def read_map_by_position(path: Path, geometry: Geometry) -> Floats:
    """Return the values of a Parametric Map by pydicom alone; NaN where no frame lies."""
    dataset = pydicom.dcmread(path)
    shape = (int(dataset.NumberOfFrames), int(dataset.Rows), int(dataset.Columns))
    values = np.frombuffer(dataset.FloatPixelData, dtype="<f4").reshape(shape)
    found = np.full(geometry.shape, np.nan, np.float32)
    for frame, pixels in zip(dataset.PerFrameFunctionalGroupsSequence, values, strict=True):
        found[_slice_of(frame, geometry)] = pixels
    return found


def _slice_of(frame: Any, geometry: Geometry) -> int:
    position = np.array([*(float(value) for value in frame.PlanePositionSequence[0].ImagePositionPatient), 1.0])
    at = np.linalg.inv(np.asarray(geometry.affine_lps_mm)) @ position
    place = round(float(at[0]))
    if np.abs(at[:3] - [place, 0, 0]).max() > _ON_GRID or not 0 <= place < geometry.shape[0]:
        raise DataError(
            "RESULT_PLACE", f"expected a frame on a slice of the volume, one lies at {[round(float(v), 3) for v in at[:3]]} voxels"
        )
    return place


def _run(program: str, *arguments: str, ends: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode not in ends:
        raise DataError(
            "RESULT_UNREADABLE", f"expected an object that {program} can read, it ended with {done.returncode}: {done.stderr[-200:]}"
        )
    return done
