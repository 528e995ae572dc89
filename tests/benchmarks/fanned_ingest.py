"""One ingestion under Prefect in a process of its own, by a task runner and so many workers; what it took is printed as JSON.

``python -m tests.benchmarks.fanned_ingest SOURCE OUT RUNNER WORKERS [SHARD_FILES]``: ``seconds`` is the ingestion alone, its workers started and their
imports made; ``seconds_with_start`` has the start of Prefect's server and of the workers too. CPU seconds are of the ingestion alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from flows.start import start_engine
from medkd.dicom.ingest import IngestRequest

#: Folders of a store whose bytes, with the manifest's, are its digest.
FOLDERS = ("volumes", "labels", "qc", "nifti")
#: Seconds that a call of :func:`warm` lasts at least, so that each worker takes one.
WARM_S = 1.0


def warm() -> tuple[int, float]:
    """Import what a shard needs; return the process and its CPU seconds so far."""
    import medkd.dicom.ingest_shard  # noqa: F401 - the import is what is wanted

    time.sleep(WARM_S)
    return os.getpid(), time.process_time()


def measured(source: Path, out: Path, runner: str, workers: int) -> dict[str, Any]:
    """Ingest and return seconds, CPU seconds of this process and of each worker, and the digest of the store."""
    began = time.perf_counter()
    with start_engine("prefect", out.parent / f"{out.name}-run", workers=workers, task_runner=runner):
        from flows.orchestration import flow, submit_all, task

        figures: dict[str, Any] = {}

        def all_workers() -> dict[int, float]:
            seen: dict[int, float] = {}
            while len(seen) < workers:
                seen |= dict(submit_all(task(warm), [()] * workers, title="warm"))
            return seen

        @flow
        def ingest_measured(request: IngestRequest) -> None:
            from flows.ingest import ingest

            before = all_workers()
            started, here = time.perf_counter(), time.process_time()
            counts = ingest(request).summary()["ingest"]
            figures.update(seconds=time.perf_counter() - started, cpu_here=time.process_time() - here, counts=counts)
            # A worker that was lost is another process now.
            figures["cpu_of_workers"] = [spent - before.get(process, 0.0) for process, spent in all_workers().items()]

        ingest_measured(IngestRequest(source, out))
        figures |= shards_recorded()
    return {**figures, "seconds_with_start": time.perf_counter() - began, "digest": digest_of(out)}


def shards_recorded() -> dict[str, int]:
    """Return how many shards Prefect has task runs of, and how often one came to its end."""
    from prefect.client.orchestration import get_client
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    with get_client(sync_client=True) as client:
        runs = {one.id for one in client.read_task_runs() if one.name.startswith("ingest-shard")}
        ends = [line for line in client.read_logs(limit=200) if line.task_run_id in runs and line.message.startswith("done in")]
    return {"shards": len(runs), "shards_ended": len(ends)}


def digest_of(out: Path) -> str:
    """Return a digest of the bytes of a store that readers see."""
    digest = hashlib.sha256((out / "manifest.json").read_bytes())
    for folder in FOLDERS:
        for path in sorted((out / folder).glob("*")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Ingest as the command line says."""
    source, out, runner, workers = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if len(sys.argv) > 5:
        from medkd.dicom import ingest, shards

        # Where a small source is to have several shards; only this process plans them.
        shards.SHARD_FILES = int(sys.argv[5])
        ingest.Ingestion.shards.__kwdefaults__["most_files"] = shards.SHARD_FILES
    os.environ.setdefault("MEDKD_SECRET", "of the benchmark")
    sys.stdout.write(json.dumps(measured(source, out, runner, workers)) + "\n")


if __name__ == "__main__":
    main()
