"""What an ingestion reports: a line for each series, what was met in labels, and the table that leads from a series to its source."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_contracts import IngestedSeries, LabelRef, SeriesRecord, VolumeRef
from medkd.dicom.group import SliceGroup
from medkd.dicom.series_words import nifti_name
from medkd.dicom.store_manifest import Volumes

#: Folder of the store that NIfTI files go to.
NIFTI = "nifti"


def label_evidence(labels: dict[str, LabelRef]) -> dict[str, Any]:
    """Return what was met in a label object, by code; what differs between its volumes, by code and series key."""
    shared: dict[str, Any] = {}
    for code in sorted({code for label in labels.values() for code in label.evidence}):
        found = {key: json.loads(label.evidence[code]) for key, label in labels.items() if code in label.evidence}
        alike = len(labels) == 1 or (len(found) == len(labels) and all(one == next(iter(found.values())) for one in found.values()))
        shared[code.value] = next(iter(found.values())) if alike else found
    return shared


def reported_series(volume: VolumeRef, group: SliceGroup, picture: Path, words: str, described: SeriesRecord) -> IngestedSeries:
    """Return the line of the report that says what became of one series, ``described`` as in the manifest."""
    return IngestedSeries(
        volume=volume.array.key,
        first_file=min(file.relative for file in group.files),
        residual_mm=None if volume.space is None else volume.space.residual_mm,
        shape=volume.geometry.shape,
        flags=volume.flags,
        synthetic_slices=len(volume.synthetic_slices),
        picture=f"qc/{picture.name}",
        series_key=volume.series_key,
        words=words,
        coordinates=described.coordinates,
    )


def table_rows(volumes: Volumes, words: Mapping[str, str], source: Path, out: Path) -> Iterator[dict[str, str]]:
    """Yield the lines of the table that leads from a series to its source.

    Args:
        volumes: that were accepted, with their slices, by series key.
        words: what is said of each.
        source: what was ingested.
        out: folder of the store.
    """
    for key, (volume, group) in volumes.items():
        names = sorted(file.relative for file in group.files)
        nifti = f"{NIFTI}/{nifti_name(volume)}"
        yield {
            "series_key": key,
            "words": words[key],
            "nifti": nifti if (out / nifti).is_file() else "",
            "source": os.path.abspath(source),
            "first_file": names[0],
            "files": str(len(names)),
        }
