"""Flow: a folder of DICOM becomes a store."""

from __future__ import annotations

from pathlib import Path

from data_contracts import IngestReport
from flows.engine import orchestrated, run_all
from medkd.dicom.ingest import ingest_with_site_secret


@orchestrated
def ingest(source: Path, store: Path, nifti: bool = False, progress: bool = False) -> IngestReport:
    """Ingest ``source`` into ``store``; unchanged series are taken from the store."""
    return run_all(ingest_with_site_secret, [(source, store, nifti, progress)], title="ingest")[0]
