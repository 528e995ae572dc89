"""Flow: a folder of DICOM becomes a store."""

from __future__ import annotations

import functools
from pathlib import Path

from data_contracts import IngestReport
from flows.engine import orchestrated, run_all
from medkd.dicom.ingest import ingest_folder


@orchestrated
def ingest(source: Path, store: Path, *, nifti: bool = False, progress: bool = False) -> IngestReport:
    """Ingest ``source`` into ``store``; unchanged series are taken from the store.

    The secret of the pseudonyms is read where it is used (``site_secret``): an orchestrator records arguments in clear.
    """
    call = functools.update_wrapper(functools.partial(ingest_folder, nifti=nifti, progress=progress), ingest_folder)
    return run_all(call, [(source, store)], title="ingest")[0]
