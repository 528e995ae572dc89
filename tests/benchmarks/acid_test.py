"""The acid test of a reader: does the value at a voxel equal what the phantom has at that place in the patient?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_contracts import Action, IngestPolicy, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import CASES
from medkd.phantom.faulty_scan import Variant, hounsfield_at
from medkd.storage.store import Store

#: Rounding of stored values, and the interpolation of readers that resample, stay below this; 1 mm off is more.
TOLERANCE_HU, POINTS, WRONG_SHARE = 12.0, 4000, 0.005


@dataclass(frozen=True)
class ReadVolume:
    """What a reader gave: values [i, j, k] and the affine (i, j, k, 1) → LPS mm; ``measured`` where voxels claim to be."""

    values: np.ndarray
    affine_lps_mm: np.ndarray
    measured: np.ndarray | None = None


def wrong_share(volume: ReadVolume, *, seed: int = 0) -> float:
    """Return the share of random measured voxels whose value is not the phantom's at their place, for the time point that fits best."""
    generator = np.random.default_rng(seed)
    indices = np.stack([generator.integers(0, size, POINTS) for size in volume.values.shape], axis=1)
    values = volume.values[tuple(indices.T)].astype(np.float64)
    points = indices @ volume.affine_lps_mm[:3, :3].T + volume.affine_lps_mm[:3, 3]
    measured = np.ones(POINTS, dtype=bool) if volume.measured is None else volume.measured[tuple(indices.T)]
    if not measured.any():
        return 1.0
    off = [np.abs(values - hounsfield_at(points, time))[measured] > TOLERANCE_HU for time in (0, 1)]
    return float(min(one.mean() for one in off))


def is_padding(name: str, values: np.ndarray) -> np.ndarray:
    """Return where the padded corner of a case lies: its value is no measurement, and every reader is told so."""
    padded = np.zeros(values.shape, dtype=bool)
    if "padding" in name:
        padded[:, :3, :4] = True
    return padded


@dataclass(frozen=True)
class Judgement:
    """What ingestion made of one series.

    Attributes:
        codes: refusals in the ledger.
        flags: of the accepted volumes.
        wrong: share of wrong voxels of each accepted volume.
        synthetic: slices of all accepted volumes that a repair filled.
    """

    codes: frozenset[str]
    flags: frozenset[str]
    wrong: tuple[float, ...]
    synthetic: int

    @property
    def silently_wrong(self) -> bool:
        return any(share > WRONG_SHARE for share in self.wrong)


def judge(source: Path, out: Path, name: str, every: Action | None) -> Judgement:
    """Ingest one written case and compare what was accepted with the phantom."""
    report = ingest(IngestRequest(source, out, IngestPolicy(every=every)), secret=b"acid test")
    manifest, store = load_record(out / "manifest.json", StoreManifest), Store(out)
    shares = []
    for volume in manifest.volumes:
        arrays = store.read_tensors(volume.array)
        values = arrays["volume"].numpy()
        measured = ~is_padding(name, values)
        if "synthetic" in arrays:
            measured &= arrays["synthetic"].numpy() == 0
        shares.append(wrong_share(ReadVolume(values, np.asarray(volume.geometry.affine_lps_mm), measured)))
    return Judgement(
        codes=frozenset(report.codes()),
        flags=frozenset(code.value for volume in manifest.volumes for code in volume.flags),
        wrong=tuple(shares),
        synthetic=sum(len(volume.synthetic_slices) for volume in manifest.volumes),
    )


def is_named(name: str, variant: Variant, judged: Judgement) -> bool:
    """Return whether ingestion by default gave the case its own code, or accepted it where nothing is wrong with it."""
    case = CASES[name]
    refusals = judged.codes - {"LOCALIZER"}
    if case.codes:
        return bool(refusals & {code.value for code in case.codes}) and len(judged.wrong) < case.volumes
    return not refusals and {code.value for code in case.flags} <= judged.flags and len(judged.wrong) == case.volumes


def is_usable(name: str, variant: Variant, judged: Judgement) -> bool:
    """Return whether a repaired case gave all its volumes, right at every measured voxel, and no more invented than was lost."""
    case = CASES[name]
    return len(judged.wrong) == case.volumes and not judged.silently_wrong and judged.synthetic == case.synthetic(variant)
