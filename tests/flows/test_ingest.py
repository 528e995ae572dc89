from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.engine import CURRENT, PlainEngine
from flows.ingest import ingest
from medkd.dicom.ingest import IngestRequest
from medkd.dicom.ingest import ingest as ingest_here
from tests.benchmarks.fanned_ingest import digest_of
from tests.benchmarks.orchestration import SLICES, write_files
from tests.flows.recording import recorded

ROOT = Path(__file__).parents[2]
#: Series of the source, and files of a shard: three shards.
SERIES, SHARD = 6, 25


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    write_files(root, SERIES * SLICES)
    next(root.rglob("IM0007.dcm")).unlink()  # a refused series beside five accepted ones
    return root


@pytest.fixture(scope="module")
def digest(source, tmp_path_factory):
    """Return the digest of the store that one process makes of the source."""
    out = tmp_path_factory.mktemp("whole") / "store"
    ingest_here(IngestRequest(source, out), secret=b"of the tests")
    return digest_of(out)


def test_a_small_source_is_ingested_by_one_call(tmp_path):
    request = IngestRequest(tmp_path, tmp_path / "out")
    with recorded(ingest="report") as engine:
        assert ingest(request) == "report"
        assert ingest(request, "entry-1") == "report"
    assert engine.groups == [("ingest", "ingest_with_site_secret", [(request,)], names) for names in (None, ["entry-1"])]


def test_a_large_one_is_ingested_by_a_call_a_shard(source, digest, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_SECRET", "of the tests")
    monkeypatch.setattr("medkd.dicom.shards.SHARD_FILES", SHARD)
    monkeypatch.setitem(ingest_defaults(), "most_files", SHARD)
    calls = []

    class Noting(PlainEngine):
        def submit_all(self, work, given, *, title, names=None, reads_disk=False):
            calls.append((work.name, title, list(names), reads_disk))
            return super().submit_all(work, given, title=title, names=names, reads_disk=reads_disk)

    token = CURRENT.set(Noting())
    try:
        report = ingest(IngestRequest(source, tmp_path / "store"), "entry-2")
    finally:
        CURRENT.reset(token)
    assert calls == [("ingest-shard", "ingest", [f"entry-2 shard {number}" for number in (1, 2, 3)], True)]
    assert digest_of(tmp_path / "store") == digest
    assert report.summary()["ingest"] == {"found": 119, "accepted": 100, "quarantined": 19, "ignored": 0}


def ingest_defaults():
    from medkd.dicom.ingest import Ingestion

    return Ingestion.shards.__kwdefaults__


def started(source, out, runner, workers):
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.fanned_ingest", source, out, runner, workers, SHARD]
    own = {**os.environ, "MEDKD_SECRET": "of the tests", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


@pytest.mark.extended
@pytest.mark.parametrize(("runner", "workers"), [("threads", 2), ("processes", 2), ("dask", 1), ("dask", 2)])
def test_the_store_is_the_same_wherever_its_shards_are_ingested(source, digest, tmp_path, runner, workers):
    assert said(started(source, tmp_path / "store", runner, workers))["digest"] == digest


#: Bytes of a file without content (a hole) that a shard reads for seconds: a moment to be killed at.
LONG = 4 * 2**30


def kill_a_worker(run, held):
    """Kill the process that reads a file; return whether there was one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and run.poll() is None:
        for child in psutil.Process(run.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(Path(file.path) == held for file in child.open_files()):
                    child.kill()
                    return True
    return False


@pytest.mark.extended
@pytest.mark.parametrize("runner", ["threads", "dask"])
def test_a_worker_that_dies_costs_its_task_and_changes_nothing(source, digest, tmp_path, runner):
    shutil.copytree(source, tmp_path / "in")
    held = tmp_path / "in" / "late" / "long.txt"
    held.parent.mkdir()
    held.touch()
    os.truncate(held, LONG)
    process = started(tmp_path / "in", tmp_path / "store", runner, 2)
    assert kill_a_worker(process, held)
    answer = said(process)
    assert answer["digest"] == digest
    # The shards that the lost process held began twice and ended once, like all others.
    assert answer["shards"] == answer["shards_ended"] >= 4
