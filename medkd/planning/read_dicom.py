"""The fingerprint of a DICOM folder, by headers: what pixels hold is known after ingestion."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from data_contracts import SourceError
from medkd.planning.fingerprint import Fingerprint

#: Headers that are read: a first look, no ingestion.
_MOST_HEADERS = 4000
_LABELS = ("SEG", "RTSTRUCT")


def read_dicom(root: Path) -> Fingerprint:
    """Return the fingerprint of a folder of DICOM studies.

    Raises:
        SourceError: ``SOURCE_MISSING`` where no DICOM image lies in it.
    """
    series, labels, patients = _headers(root)
    volumes = {key: files for key, files in series.items() if len(files) > 2} or series
    if not volumes:
        raise SourceError("SOURCE_MISSING", f"expected cases.csv, dataset.json or DICOM images in {root.name}, found none of them")
    firsts = [files[0] for files in volumes.values()]
    modality = Counter(str(one.get("Modality", "")) for one in firsts).most_common(1)[0][0]
    shapes = [(len(files), int(files[0].Rows), int(files[0].Columns)) for files in volumes.values()]
    unknown = ["Intensities, and how many voxels each class has, are not known before ingestion: look at `window`."]
    if not labels:
        unknown.append("No segmentation was found among the headers that were read: name the classes and `segments`.")
    return Fingerprint(
        source="dicom",
        cases=len(volumes),
        patients=len(patients),
        shapes=np.array(shapes, dtype=np.int64),
        spacings=np.array([_spacing(files) for files in volumes.values()]),
        classes={"background": len(volumes), **(labels or {"structure": 0})},
        modality=modality,
        fields={
            "kind": "dicom",
            "path": root.name,
            "modality": modality or None,
            "segments": {name: _word(name) for name in labels} or {"*": "structure"},
        },
        unknown=tuple(unknown),
    )


def _word(name: str) -> str:
    return name.lower().replace(" ", "_")


def _headers(root: Path) -> tuple[dict[str, list[Any]], dict[str, int], set[str]]:
    """Return the images' headers by series, the segments with their numbers of objects, and the patients."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    series: dict[str, list[Any]] = defaultdict(list)
    labels: Counter[str] = Counter()
    patients: set[str] = set()
    for path in sorted(path for path in root.rglob("*") if path.is_file())[:_MOST_HEADERS]:
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError, ValueError, EOFError):
            continue
        if str(header.get("Modality", "")) in _LABELS:
            named = [*header.get("SegmentSequence", []), *header.get("StructureSetROISequence", [])]
            labels.update(str(one.get("SegmentLabel", one.get("ROIName", ""))) for one in named)
        elif "Rows" in header and "SeriesInstanceUID" in header:
            series[str(header.SeriesInstanceUID)].append(header)
            patients.add(str(header.get("PatientID", "")))
    labels.pop("", None)
    return dict(series), dict(labels), patients


def _spacing(files: list[Any]) -> tuple[float, float, float]:
    """Return the spacing (slice, row, column) of a series, mm: by positions where there are several, else by its thickness."""
    first = files[0]
    rows, columns = (float(value) for value in first.get("PixelSpacing", None) or first.get("ImagerPixelSpacing", None) or (1.0, 1.0))
    positions = sorted(float(one.ImagePositionPatient[2]) for one in files if one.get("ImagePositionPatient", None))
    steps = np.diff(positions)
    steps = steps[steps > 0]
    return (float(np.median(steps)) if len(steps) else float(first.get("SliceThickness", None) or 1.0), rows, columns)
