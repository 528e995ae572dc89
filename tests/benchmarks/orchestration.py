"""What orchestration costs: Prefect beside no Prefect, a deployed flow with nothing to do, and ingestion as a source grows.

``python -m tests.benchmarks.orchestration --json``: the last line is one JSON object.
``added_seconds_prefect``: wall seconds of ``medkd demo --size SIZE`` with Prefect above those without, median of interleaved repeats; also as a share.
``idle_flow_seconds``: a run of ``ingest-watch`` over an empty inbox, recorded by a server that is there, median.
``ingest_seconds_per_1000_N``: wall seconds per 1000 files of a source of N files in series of 20, each in a process of its own, imports left out;
``ingest_growth``: the largest source's over the smallest's. ``ingest_peak_mib_N``: peak memory of that process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIDE, SLICES = 32, 20
INGEST = """
import json, os, resource, sys, time
from pathlib import Path
os.environ["MEDKD_SECRET"] = "of the benchmark"
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
import medkd.dicom.decoders, medkd.dicom.qc_picture
started = time.perf_counter()
report = ingest_with_site_secret(IngestRequest(Path(sys.argv[1]), Path(sys.argv[2])))
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak": peak, "counts": report.summary()["ingest"]}))
"""
IDLE = """
import json, os, sys, time
from pathlib import Path
from flows.start import start_engine
with start_engine("prefect", Path(sys.argv[1]) / "run", workers=0) as engine:
    from flows.deployments import ingest_watch
    engine._await_server()
    seconds = []
    for _ in range(int(sys.argv[2])):
        started = time.perf_counter()
        state = ingest_watch(out=str(Path(sys.argv[1]) / "site"), return_state=True)
        seconds.append(time.perf_counter() - started)
        assert state.message == "nothing new", state
print(json.dumps(seconds))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["smoke", "full"], default="full", help="of the demo")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--files", type=int, nargs="*", default=[1000, 5000, 20000])
    parser.add_argument("--json", action="store_true", help="only the last line")
    asked = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        if asked.repeats:
            figures |= prefect_beside_none(Path(scratch), asked.size, asked.repeats) | idle(Path(scratch), asked.repeats)
        if asked.files:
            figures |= growing(Path(scratch), sorted(asked.files))
    if not asked.json:
        for name, value in figures.items():
            sys.stdout.write(f"{name:32s} {value:.4g}\n")
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    sys.stdout.write(json.dumps({"figures": rounded, "peers": {}, "n": asked.repeats, "size": asked.size}) + "\n")


def prefect_beside_none(folder: Path, size: str, repeats: int) -> dict[str, float]:
    """Return what Prefect adds to a demo."""
    seconds: dict[str, list[float]] = {"none": [], "prefect": []}
    for number in range(repeats):
        for engine, own in seconds.items():
            out = folder / f"{engine}-{number}"
            started = time.perf_counter()
            call(["-m", "flows.cli", "demo", "--size", size, "--engine", engine, "--out", str(out), "--json"])
            own.append(time.perf_counter() - started)
            shutil.rmtree(out)
    plain, added = statistics.median(seconds["none"]), [a - b for a, b in zip(seconds["prefect"], seconds["none"], strict=True)]
    more = statistics.median(added)
    return {"added_seconds_prefect": more, "added_share_prefect": more / plain, "demo_seconds_none": plain}


def idle(folder: Path, repeats: int) -> dict[str, float]:
    """Return the seconds of a run with nothing to do."""
    (folder / "inbox").mkdir()
    said = call(["-c", IDLE, str(folder), str(repeats)], MEDKD_STUDIES=str(folder / "inbox"))
    return {"idle_flow_seconds": statistics.median(json.loads(said.splitlines()[-1]))}


def growing(folder: Path, sizes: list[int]) -> dict[str, float]:
    """Return what a source costs per 1000 files as it grows."""
    figures, source = {}, folder / "source"
    for size in sizes:
        write_files(source, size)
        said = json.loads(call(["-c", INGEST, str(source), str(folder / f"store-{size}")]).splitlines()[-1])
        if said["counts"]["accepted"] != size:
            raise SystemExit(f"expected {size} accepted files, got {said['counts']}")
        figures |= {f"ingest_seconds_per_1000_{size}": 1000 * said["seconds"] / size, f"ingest_peak_mib_{size}": said["peak"]}
        shutil.rmtree(folder / f"store-{size}")
    ratio = figures[f"ingest_seconds_per_1000_{sizes[-1]}"] / figures[f"ingest_seconds_per_1000_{sizes[0]}"]
    return {**figures, "ingest_growth": ratio}


def write_files(folder: Path, count: int) -> None:
    """Write series of small slices until there are so many files."""
    import numpy as np
    from pydicom.uid import ExplicitVRLittleEndian

    from medkd.phantom.faulty_scan import VARIANTS, Scan, save_dataset

    have = sum(1 for _ in folder.rglob("*.dcm")) if folder.is_dir() else 0
    for number in range(have // SLICES, count // SLICES):
        # Of its own seed: equal pixels of two patients are refused.
        scan, generator = Scan(VARIANTS[0], number, f"growth-{number}"), np.random.default_rng(number)
        scan.lay(np.arange(SLICES))
        place = folder / f"{number // 100:04d}" / f"{number:06d}"
        place.mkdir(parents=True)
        for index, position in enumerate(scan.positions):
            dataset = scan.slice(position, 0)
            dataset.SOPInstanceUID = scan.uid("growth", index)
            dataset.Rows = dataset.Columns = SIDE
            dataset.PixelData = generator.integers(0, 2000, (SIDE, SIDE), dtype=np.uint16).astype("<u2").tobytes()
            save_dataset(dataset, place / f"IM{index:04d}.dcm", ExplicitVRLittleEndian)


def call(arguments: list[str], **environment: str) -> str:
    """Run Python in a process of its own and return what it printed."""
    own = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    for name in ("PREFECT_HOME", "MEDKD_OWN_PREFECT_HOME", "PREFECT_API_URL"):
        own.pop(name, None)
    done = subprocess.run([sys.executable, "-W", "ignore", *arguments], env=own, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout


if __name__ == "__main__":
    main()
