"""What orchestration costs: Prefect beside no Prefect, a deployed flow with nothing to do, ingestion as a source grows and by two workers.

``python -m tests.benchmarks.orchestration --json``: the last line is one JSON object. ``--only`` measures some of the parts:

``demo``: ``added_seconds_prefect``, wall seconds of ``medkd demo --size SIZE`` with Prefect above those without, median of interleaved repeats; also as
a share, and CPU seconds of both, all processes together.
``idle``: ``idle_flow_seconds``, a run of ``ingest-watch`` over an empty inbox, recorded by a server that is there, median.
``growth``: ``ingest_seconds_per_1000_N``, wall seconds per 1000 files of a source of N files in series of 20, each in a process of its own, imports left
out; ``ingest_cpu_per_1000_N``, CPU seconds; ``ingest_ratio_LAST_FIRST``, the largest source's over the smallest's, and by CPU seconds, which other
work on the machine does not change; ``ingest_peak_mib_N``, peak memory of that process. The smallest source is ingested three times, the median counts.
``fan-out``: ``dask_speedup_2``, the ingestion of ``--series`` series of 20 slices by one Dask worker over that by two, started and with their imports
made, the flow's process beside them; ``dask_speedup_2_with_start`` has the start of Prefect's server and the cluster in both.
``dask_speedup_2_cpu`` is what the CPU seconds allow where nothing else runs and the flow's process never works beside its workers: those of the
flow's process and of the busiest worker together, one worker's over two workers'.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SIDE, SLICES = 32, 20
#: Rows and columns of the slices that workers share.
FAN_OUT_SIDE = 128
INGEST = """
import json, os, resource, sys, time
from pathlib import Path
os.environ["MEDKD_SECRET"] = "of the benchmark"
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
import medkd.dicom.decoders, medkd.dicom.qc_picture
started, cpu = time.perf_counter(), time.process_time()
report = ingest_with_site_secret(IngestRequest(Path(sys.argv[1]), Path(sys.argv[2])))
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "counts": report.summary()["ingest"]}))
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


PARTS = ("demo", "idle", "growth", "fan-out")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="parts that are measured")
    parser.add_argument("--size", choices=["smoke", "full"], default="full", help="of the demo")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 5000, 20000], help="of the growing source")
    parser.add_argument("--series", type=int, default=400, help="of the source that workers share")
    parser.add_argument("--json", action="store_true", help="only the last line")
    asked = parser.parse_args()
    parts: dict[str, Callable[[Path], dict[str, float]]] = {
        "demo": lambda folder: prefect_beside_none(folder, asked.size, asked.repeats),
        "idle": lambda folder: idle(folder, asked.repeats),
        "growth": lambda folder: growing(folder, sorted(asked.files)),
        "fan-out": lambda folder: fanned_out(folder, asked.series, asked.repeats),
    }
    figures: dict[str, float] = {}
    for name in asked.only:
        with tempfile.TemporaryDirectory() as scratch:
            figures |= parts[name](Path(scratch))
    if not asked.json:
        for name, value in figures.items():
            sys.stdout.write(f"{name:32s} {value:.4g}\n")
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    sys.stdout.write(json.dumps({"figures": rounded, "peers": {}, "n": asked.repeats, "size": asked.size}) + "\n")


def prefect_beside_none(folder: Path, size: str, repeats: int) -> dict[str, float]:
    """Return what Prefect adds to a demo."""
    seconds: dict[str, list[float]] = {"none": [], "prefect": []}
    cpu: dict[str, list[float]] = {"none": [], "prefect": []}
    for number in range(repeats):
        for engine in seconds:
            out = folder / f"{engine}-{number}"
            started, before = time.perf_counter(), cpu_of_children()
            call(["-m", "flows.cli", "demo", "--size", size, "--engine", engine, "--out", str(out), "--json"])
            seconds[engine].append(time.perf_counter() - started)
            cpu[engine].append(cpu_of_children() - before)
            shutil.rmtree(out)
    plain, added = statistics.median(seconds["none"]), [a - b for a, b in zip(seconds["prefect"], seconds["none"], strict=True)]
    more = statistics.median(added)
    shares = {f"demo_cpu_seconds_{engine}": statistics.median(own) for engine, own in cpu.items()}
    return {"added_seconds_prefect": more, "added_share_prefect": more / plain, "demo_seconds_none": plain, **shares}


def cpu_of_children() -> float:
    """Return the CPU seconds of all processes that ended so far and were waited for."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def idle(folder: Path, repeats: int) -> dict[str, float]:
    """Return the seconds of a run with nothing to do."""
    (folder / "inbox").mkdir()
    said = call(["-c", IDLE, str(folder), str(repeats)], MEDKD_STUDIES=str(folder / "inbox"))
    return {"idle_flow_seconds": statistics.median(json.loads(said.splitlines()[-1]))}


def growing(folder: Path, sizes: list[int]) -> dict[str, float]:
    """Return what a source costs per 1000 files as it grows."""
    figures, source = {}, folder / "source"
    costs: dict[int, dict[str, float]] = {}
    for size in sizes:
        write_files(source, size)
        runs = [ingested(source, folder / "store", size) for _ in range(3 if size == sizes[0] else 1)]
        costs[size] = {name: statistics.median(run[name] for run in runs) for name in ("seconds", "cpu", "peak")}
        figures |= {
            f"ingest_seconds_per_1000_{size}": 1000 * costs[size]["seconds"] / size,
            f"ingest_cpu_per_1000_{size}": 1000 * costs[size]["cpu"] / size,
            f"ingest_peak_mib_{size}": costs[size]["peak"],
        }
    first, last = sizes[0], sizes[-1]
    for suffix, name in (("", "seconds"), ("_cpu", "cpu")):
        ratio = (costs[last][name] / last) / (costs[first][name] / first)
        figures[f"ingest_ratio_{shown(last)}_{shown(first)}{suffix}"] = ratio
    return figures


def ingested(source: Path, out: Path, size: int) -> dict[str, float]:
    """Return seconds, CPU seconds and peak memory, MiB, of an ingestion in a process of its own."""
    said: dict[str, Any] = json.loads(call(["-c", INGEST, str(source), str(out)]).splitlines()[-1])
    if said["counts"]["accepted"] != size:
        raise SystemExit(f"expected {size} accepted files, got {said['counts']}")
    shutil.rmtree(out)
    return said


def shown(count: int) -> str:
    """Return a number of files as names of figures say it."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def fanned_out(folder: Path, series: int, repeats: int) -> dict[str, float]:
    """Return how much faster two Dask workers ingest than one."""
    source = folder / "source"
    runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    write_files(source, series * SLICES, side=FAN_OUT_SIDE)
    for number in range(repeats):
        for workers, own in runs.items():
            out = folder / f"{workers}-{number}"
            module = ["-m", "tests.benchmarks.fanned_ingest", str(source), str(out / "store"), "dask", str(workers)]
            own.append(json.loads(call(module, OMP_NUM_THREADS="1").splitlines()[-1]))
            shutil.rmtree(out)
    if len({run["digest"] for own in runs.values() for run in own}) != 1:
        raise SystemExit("expected one and the same store of all runs, their digests differ")

    def gain(cost: Callable[[dict[str, Any]], float]) -> float:
        one, two = (statistics.median(map(cost, own)) for own in runs.values())
        return float(one / two)

    return {
        "dask_speedup_2": gain(lambda run: run["seconds"]),
        "dask_speedup_2_with_start": gain(lambda run: run["seconds_with_start"]),
        "dask_speedup_2_cpu": gain(lambda run: run["cpu_here"] + max(run["cpu_of_workers"])),
        "fan_out_seconds_1": statistics.median(run["seconds"] for run in runs[1]),
        "fan_out_cpu_seconds_1": statistics.median(run["cpu_here"] + sum(run["cpu_of_workers"]) for run in runs[1]),
        "fan_out_shards": runs[2][0]["shards"],
    }


def write_files(folder: Path, count: int, side: int = SIDE) -> None:
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
            dataset.Rows = dataset.Columns = side
            dataset.PixelData = generator.integers(0, 2000, (side, side), dtype=np.uint16).astype("<u2").tobytes()
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
