"""Flow: a folder of DICOM becomes a store, a large one in shards."""

from __future__ import annotations

from data_contracts import IngestReport
from flows.orchestration import flow, submit_all, task
from flows.task_text import ingest_text, shard_text
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret, open_ingestion
from medkd.dicom.ingest_shard import ShardResult, ingest_shard_with_site_secret
from medkd.dicom.shards import is_large

ingest_source = task(ingest_with_site_secret, name="ingest", said=ingest_text)
ingest_part = task(ingest_shard_with_site_secret, name="ingest-shard", said=shard_text)


@flow
def ingest(request: IngestRequest, name: str | None = None) -> IngestReport:
    """Ingest a source into a store; unchanged series are taken from the store.

    What is more than a shard is ingested by a task per shard. This process lists the files and writes the manifest, and holds the store's lock
    meanwhile; a task that is lost costs its shard.

    Args:
        request: source, store, policy.
        name: of the source, for logs and Prefect's task runs.
    """
    if not is_large(request.source):
        return submit_all(ingest_source, [(request,)], title="ingest", names=None if name is None else [name], reads_disk=True)[0]
    with open_ingestion(request) as ingestion:
        results: list[ShardResult] = []
        shards = ingestion.shards()
        while shards:
            names = [" ".join((*([] if name is None else [name]), f"shard {number}")) for number in range(1, len(shards) + 1)]
            results += submit_all(ingest_part, [(ingestion.target, one) for one in shards], title="ingest", names=names, reads_disk=True)
            shards = ingestion.further_shards(results)
        return ingestion.finish_with_site_secret(results)
