"""What an ingestion stored, beside what must be there: the phantom's Hounsfield units are a known function of the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_contracts import Action, IngestPolicy, IngestReport, StoreManifest, VolumeRef, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.faulty_scan import TIME_STEP_HU, hounsfield_at
from medkd.storage.store import Store

Stored = list[tuple[VolumeRef, np.ndarray]]


def ingested(folder: Path, every: Action | None = None) -> tuple[IngestReport, Stored]:
    """Ingest a folder into a store beside it; return the report, and each volume with its voxels."""
    out = folder.parent / f"store-{every}"
    report = ingest(IngestRequest(folder, out, IngestPolicy(every=every)), secret=b"k")
    volumes = load_record(out / "manifest.json", StoreManifest).volumes
    return report, [(volume, Store(out).read_tensors(volume.array)["volume"].numpy().astype(float)) for volume in volumes]


def truth(volume: VolumeRef) -> np.ndarray:
    """Return the Hounsfield units [slice, row, column] that belong to the places of a volume's voxels."""
    affine = np.asarray(volume.geometry.affine_lps_mm)
    index = np.stack(np.meshgrid(*[np.arange(size) for size in volume.geometry.shape], indexing="ij"), axis=-1)
    return hounsfield_at(index @ affine[:3, :3].T + affine[:3, 3])


def offsets(volumes: Stored, step: float = TIME_STEP_HU) -> list[int]:
    """Return by how many steps each volume lies above the field, each verified voxel by voxel."""
    found = []
    for volume, values in volumes:
        difference = values - truth(volume)
        offset = int(np.rint(np.median(difference) / step))
        assert np.abs(difference - offset * step).max() < 1
        found.append(offset)
    return sorted(found)
