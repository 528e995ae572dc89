"""Flow: a folder of DICOM becomes a store."""

from __future__ import annotations

from data_contracts import IngestReport
from flows.orchestration import flow, submit_all, task
from flows.task_text import ingest_text
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret

ingest_source = task(ingest_with_site_secret, name="ingest", said=ingest_text)


@flow
def ingest(request: IngestRequest) -> IngestReport:
    """Ingest a source into a store; unchanged series are taken from the store."""
    return submit_all(ingest_source, [(request,)], title="ingest", reads_disk=True)[0]
