from __future__ import annotations

from pathlib import Path

from flows.ingest import ingest
from medkd.dicom.ingest import IngestRequest
from tests.flows.recording import recorded


def test_a_source_is_ingested_by_one_call():
    request = IngestRequest(Path("in"), Path("out"))
    with recorded(ingest="report") as engine:
        assert ingest(request) == "report"
    assert engine.groups == [("ingest", "ingest_with_site_secret", [(request,)], None)]
