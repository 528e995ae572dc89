"""Segmentations and Parametric Maps as OHIF's viewer reads them, where Node and its packages are there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from data_contracts import DataError, Geometry, MissingDependencyError

#: Folder that holds Node's packages, where it is not beside the environment's Python.
SETTING = "MEDKD_OHIF"
_HERE = Path(__file__).parent
_FILES = ("package.json", "package-lock.json")
_PACKAGE = Path("node_modules/@cornerstonejs/adapters/package.json")


def packages_folder() -> Path:
    """Return where Node's packages are looked for."""
    given = os.environ.get(SETTING)
    return Path(given) if given else Path(sys.prefix) / "ohif"


def install(folder: Path | None = None) -> Path:
    """Fetch the packages that are listed, with their digests, in ``package-lock.json`` here; return their folder.

    Raises:
        MissingDependencyError: ``OHIF_INSTALL`` without npm, or when it fails.
    """
    place = packages_folder() if folder is None else folder
    npm = shutil.which("npm")
    if npm is None:
        raise MissingDependencyError("OHIF_INSTALL", "expected npm, by which OHIF's reader is fetched; install Node 20 or newer")
    place.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(_HERE / name, place / name)
    # Scripts of packages are not run: nothing that is fetched needs to be built.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip()[-200:]
        raise MissingDependencyError("OHIF_INSTALL", f"expected npm to fetch OHIF's reader, it ended with {done.returncode}: {said}")
    return place


def version() -> str | None:
    """Return the version of OHIF's reader that is installed, None without it or without Node."""
    package = packages_folder() / _PACKAGE
    if shutil.which("node") is None or not package.is_file():
        return None
    return str(json.loads(package.read_text())["version"])


class OhifReader:
    """OHIF's reader in a process of its own, begun once for all objects of a set: its packages take two seconds to load.

    Args:
        geometry: of the volume.
        images: headers of the images that objects are laid on, one a slice, in the order of slices.
    """

    def __init__(self, geometry: Geometry, images: Sequence[Dataset]) -> None:
        self.geometry, self._images = geometry, [_facts(image) for image in images]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed at the end of the block that the reader is used in
        self._process = subprocess.Popen(
            ["node", "--input-type=module", "--eval", (_HERE / "read.mjs").read_text(encoding="utf-8")],
            cwd=packages_folder(),  # where packages are looked for
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End its process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def read_segments(self, path: Path) -> NDArray[np.uint8]:
        """Return the segment number of every voxel as OHIF lays a SEG on the images (0 for none), [slice, row, column].

        Raises:
            DataError: ``RESULT_UNREADABLE`` when the reader refuses the object.
        """
        return self._read("segmentation", path).view(np.uint8).reshape(self.geometry.shape)

    def read_map(self, path: Path) -> NDArray[np.float32]:
        """Return the values of a Parametric Map as OHIF lays it on the images, [slice, row, column].

        Raises:
            DataError: ``RESULT_UNREADABLE`` when the reader refuses the object.
        """
        return self._read("map", path).view(np.float32).reshape(self.geometry.shape)

    def _read(self, kind: Literal["segmentation", "map"], path: Path) -> NDArray[np.uint8]:
        with tempfile.TemporaryDirectory(prefix="medkd-ohif-") as folder:
            out = Path(folder) / "voxels"
            refused = self._ask({"kind": kind, "object": str(path.resolve()), "images": self._images, "out": str(out)})
            if refused or not out.is_file():
                raise DataError(
                    "RESULT_UNREADABLE", f"expected an object that OHIF's reader can read, {path.name} is none: {refused[:200]}"
                )
            return np.fromfile(out, np.uint8)

    def _ask(self, job: dict[str, Any]) -> str:
        """Return why the reader refused a job, "" when it did it."""
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("expected a process with pipes")
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            return str(json.loads(answer).get("error", ""))
        self._log.seek(0)
        said = self._log.read().strip().splitlines()
        return "it ended: " + next((line for line in said if "Error" in line), said[-1] if said else "without a word")


def _facts(image: Dataset) -> dict[str, Any]:
    """Return what a viewer knows of an image."""
    return {
        "SOPInstanceUID": str(image.SOPInstanceUID),
        "SOPClassUID": str(image.SOPClassUID),
        "SeriesInstanceUID": str(image.SeriesInstanceUID),
        "FrameOfReferenceUID": str(image.FrameOfReferenceUID),
        "Modality": str(image.Modality),
        "Rows": int(image.Rows),
        "Columns": int(image.Columns),
        "ImagePositionPatient": [float(value) for value in image.ImagePositionPatient],
        "ImageOrientationPatient": [float(value) for value in image.ImageOrientationPatient],
        "PixelSpacing": [float(value) for value in image.PixelSpacing],
    }
