"""The fingerprint of a DICOM folder, by headers: what pixels hold is known after ingestion."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import SourceError
from medkd.dicom.found_file import FoundFile
from medkd.dicom.group import group_slices
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.raw_values import raw_int
from medkd.dicom.slices import Slice, slices_of
from medkd.dicom.solve_geometry import SAME_MM
from medkd.planning.fingerprint import Fingerprint
from medkd.volumes.orientation import Grid, canonical_axes

#: Headers that are read: a first look, no ingestion.
_MOST_HEADERS = 4000
#: Slices that make a volume; where a folder has such series, those of fewer are localizers and the like.
_FEWEST_SLICES = 3
#: Directions of row and column span a plane: their cross product, of length 1 where they are right, is longer than this.
_LEAST_NORMAL = 0.5
_LABELS = ("SEG", "RTSTRUCT")

_Size = tuple[tuple[int, int, int], tuple[float, float, float]]


@dataclass
class _Series:
    """What the headers of a series say.

    Attributes:
        first: its first header.
        slices: those whose place in the patient is stated, one per frame of an object of several.
        loose: images that state none, frames counted.
    """

    first: Any
    slices: list[Slice] = field(default_factory=list)
    loose: int = 0

    def size(self) -> _Size:
        """Return shape and spacing in mm, (slice, row, column) along the patient's axes, of the volume with the most slices."""
        groups = group_slices(self.slices)
        if not groups:
            # Without a place nothing says which way the axes point: they stay as they were acquired.
            return (self.loose, raw_int(self.first, 0x00280010, 1), raw_int(self.first, 0x00280011, 1)), _stated_spacing(self.first)
        return _canonical_size(max((group.slices for group in groups), key=len))


@dataclass
class _Found:
    """What the headers of a folder say: series by UID, segments with their numbers of objects, patients, and how many files there are."""

    series: dict[str, _Series] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    patients: set[str] = field(default_factory=set)
    files: int = 0


def read_dicom(root: Path) -> Fingerprint:
    """Return the fingerprint of a folder of DICOM studies; shapes and spacings are those of the axes that networks see, the patient's.

    Raises:
        SourceError: ``SOURCE_MISSING`` where no DICOM image lies in it.
    """
    found = _headers(root)
    sizes = {key: one.size() for key, one in found.series.items()}
    volumes = [key for key, one in found.series.items() if max(len(one.slices), one.loose) >= _FEWEST_SLICES] or list(sizes)
    if not volumes:
        raise SourceError("SOURCE_MISSING", f"expected cases.csv, dataset.json or DICOM images in {root.name}, found none of them")
    modality = Counter(str(found.series[key].first.get("Modality", "")) for key in volumes).most_common(1)[0][0]
    labels = dict(found.labels)
    return Fingerprint(
        source="dicom",
        cases=len(volumes),
        patients=len(found.patients),
        shapes=np.array([sizes[key][0] for key in volumes], dtype=np.int64),
        spacings=np.array([sizes[key][1] for key in volumes]),
        classes={"background": len(volumes), **(labels or {"structure": 0})},
        modality=modality,
        fields={
            "kind": "dicom",
            "path": root.name,
            "modality": modality or None,
            "segments": {name: _word(name) for name in labels} or {"*": "structure"},
        },
        unknown=_unknown(found, [found.series[key] for key in volumes]),
    )


def _unknown(found: _Found, volumes: list[_Series]) -> tuple[str, ...]:
    said = ["Intensities, and how many voxels each class has, are not known before ingestion: look at `window`."]
    if not found.labels:
        said.append("No segmentation was found among the headers that were read: name the classes and `segments`.")
    if found.files > _MOST_HEADERS:
        said.append(
            f"Headers of the first {_MOST_HEADERS} of {found.files} files were read: cases, patients and segments of the others are not counted, and the "
            "last series may lack slices; look at sizes and classes, and at `epochs`, which go by the number of cases."
        )
    placeless = sum(not one.slices for one in volumes)
    if placeless:
        said.append(f"{placeless} series state no place of their images in the patient: ingestion may leave them out, look at its report.")
    return tuple(said)


def _word(name: str) -> str:
    return name.lower().replace(" ", "_")


def _headers(root: Path) -> _Found:
    import pydicom
    from pydicom.errors import InvalidDicomError

    paths = sorted(path for path in root.rglob("*") if path.is_file())
    found, series, labels = _Found(files=len(paths)), defaultdict[str, list[tuple[Path, Any]]](list), Counter[str]()
    with quiet_dicom():
        for path in paths[:_MOST_HEADERS]:
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True)
            except (InvalidDicomError, OSError, ValueError, EOFError):
                continue
            if str(header.get("Modality", "")) in _LABELS:
                named = [*header.get("SegmentSequence", []), *header.get("StructureSetROISequence", [])]
                labels.update(str(one.get("SegmentLabel", one.get("ROIName", ""))) for one in named)
            elif "Rows" in header and "SeriesInstanceUID" in header:
                series[str(header.SeriesInstanceUID)].append((path, header))
                found.patients.add(str(header.get("PatientID", "")))
        found.series = {key: _read_series(files) for key, files in series.items()}
    labels.pop("", None)
    found.labels = labels
    return found


def _read_series(files: list[tuple[Path, Any]]) -> _Series:
    read = _Series(files[0][1])
    for path, header in files:
        try:
            slices = slices_of(FoundFile(path, path.name, "", header))
        except Exception:  # headers can be broken in any way: ingestion says how, a first look counts the image
            read.loose += max(1, raw_int(header, 0x00280008, 1))
            continue
        placed = [one for one in slices if min(one.spacing_mm) > 0 and np.linalg.norm(_normal(one)) > _LEAST_NORMAL]
        read.slices += placed
        read.loose += len(slices) - len(placed)
    return read


def _canonical_size(slices: tuple[Slice, ...]) -> _Size:
    """Return shape and spacing of slices of one orientation as training sees them (:func:`medkd.volumes.alignment.alignment_of`).

    Slices lie along the normal of their planes (PS3.3 C.7.6.2.1.1): where they are sagittal or oblique, z says nothing of their distance.
    """
    first = slices[0]
    along_columns, along_rows, normal = np.array(first.orientation[:3]), np.array(first.orientation[3:]), _normal(first)
    normal = normal / np.linalg.norm(normal)
    places = np.sort(np.array([one.position_mm for one in slices]) @ normal)
    # Several time points or echoes lie at one place, and are no further slices.
    steps = np.diff(places)[np.diff(places) > SAME_MM]
    step = float(np.median(steps)) if len(steps) else _number(first.value("SliceThickness"))
    affine = np.eye(4)
    affine[:3, :3] = np.stack([normal * step, along_rows * first.spacing_mm[0], along_columns * first.spacing_mm[1]], axis=1)
    _, turned = canonical_axes(Grid((len(steps) + 1, *first.matrix), affine))
    return turned.shape, turned.spacing_mm


def _normal(one: Slice) -> NDArray[np.float64]:
    return np.cross(np.array(one.orientation[:3], dtype=float), np.array(one.orientation[3:], dtype=float))


def _stated_spacing(header: Any) -> tuple[float, float, float]:
    rows, columns = (header.get("PixelSpacing", None) or header.get("ImagerPixelSpacing", None) or (1.0, 1.0))[:2]
    return _number(header.get("SliceThickness", None)), _number(rows), _number(columns)


def _number(value: Any) -> float:
    """Return a positive number of a header, 1 where there is none."""
    try:
        found = float(value or 1.0)
    except (TypeError, ValueError):
        return 1.0
    return found if found > 0 else 1.0
