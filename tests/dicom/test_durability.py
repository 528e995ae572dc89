"""SIGKILL at any moment: the store is never half-written, and the next run completes it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medkd.dicom.ingest_cache import read_manifest
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.storage.store import Store
from tests.dicom.ingesting import ingest_folder

_CODE = """
import sys
from pathlib import Path
from medkd.dicom.ingest import IngestRequest, ingest
print("ready", flush=True)
ingest(IngestRequest(Path(sys.argv[1]), Path(sys.argv[2])), secret=b"k")
print("done", flush=True)
"""


def start(source, out):
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", _CODE, str(source), str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "ready"
    return process


def contents(out: Path) -> dict[str, bytes]:
    """Return every file but quarantined originals and reports, by its place."""
    kept = [path for path in out.rglob("*") if path.is_file() and "quarantine" not in path.parts]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in kept}


def verified(out: Path) -> int:
    """Return how many volumes the manifest lists; every one of them must be there and whole."""
    if not (out / "manifest.json").is_file():
        return 0
    manifest, store = read_manifest(out), Store(out)
    for volume in manifest.volumes:
        assert store.verify(volume.array)
        assert volume.label is None or store.verify(volume.label.array)
    return len(manifest.volumes)


@pytest.mark.parametrize("kills", [2, pytest.param(6, marks=pytest.mark.extended)])
@pytest.mark.extended
def test_killed_at_any_moment_the_store_is_whole_and_the_next_run_completes_it(tmp_path, kills):
    source, undisturbed, out = tmp_path / "source", tmp_path / "undisturbed", tmp_path / "store"
    write_phantom_dicom(source, studies=24, seed=5)
    started = time.perf_counter()
    ingest_folder(source, undisturbed, secret=b"k")
    needed, rng, killed = time.perf_counter() - started, random.Random(3), 0
    for _ in range(kills):
        process = start(source, out)
        time.sleep(rng.uniform(0, needed))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        verified(out)
    assert killed >= kills // 2
    report = ingest_folder(source, out, secret=b"k")
    assert verified(out) == 24
    assert contents(out) == contents(undisturbed)
    assert len(report.series) == 24
    assert not list(out.rglob("*-partial"))
    assert ingest_folder(source, out, secret=b"k").decoded_files == 0
