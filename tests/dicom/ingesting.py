"""Ingestion as most tests ask it."""

from __future__ import annotations

from pathlib import Path

from data_contracts import (
    IngestReport,
)
from medkd.dicom.ingest import IngestRequest, ingest


def ingest_folder(source: Path, out: Path, *, secret: bytes, nifti: bool = False, progress: bool = False) -> IngestReport:
    """Ingest with every code's own default action; see :func:`ingest`."""
    return ingest(IngestRequest(source, out, nifti=nifti, progress=progress), secret=secret)
