"""What ingestion costs, ours beside dcm2niix and beside the decoder alone.

``python -m tests.benchmarks.ingest --json``: 200 raw slices of 512 x 512, seven interleaved repeats, CPU seconds of the whole process tree.
``cpu_ratio_dcm2niix``: header scan, hashing, geometry, decoding, HU, store, picture and report, over dcm2niix writing uncompressed NIfTI.
``memory_ratio_payload``: peak memory above that of a process that only imported everything, over the bytes of the voxels.
``jpeg2000_ratio_decoder``: the same for JPEG 2000 slices, over decoding them and nothing else, per core.
``redecoded_files``: files decoded when the same folder is ingested again.

What a process costs before it does anything is not in ours (all is imported by then) and is in dcm2niix's; ``start_seconds`` of the peers says
how much that is for both.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from medkd.progress import progress_bar

ROOT = Path(__file__).parents[2]
DCM2NIIX = ROOT / ".venv-bench" / "bin" / "dcm2niix"
SLICES, SIDE, REPEATS = 200, 512, 7


def write_series(folder: Path, slices: int, *, compressed: bool, seed: int = 0) -> None:
    """Write a CT-like series: smooth anatomy and noise, so that compression works as hard as on a patient."""
    from medkd.phantom.faulty_scan import VARIANTS, Scan, save_dataset

    generator = np.random.default_rng(seed)
    scan = Scan(VARIANTS[0], seed, f"speed-{slices}-{compressed}")
    scan.lay(np.arange(slices))
    rows, columns = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
    folder.mkdir(parents=True)
    for index, position in enumerate(scan.positions):
        dataset = scan.slice(position, 0)
        body = (rows**2 + columns**2 < 0.7 + 0.1 * np.sin(index / 9)) * 1024.0
        values = body + 120 * np.sin(6 * rows + index / 5) * np.cos(5 * columns) + generator.normal(0, 12, rows.shape)
        dataset.SOPInstanceUID = scan.uid("speed", index)
        dataset.Rows = dataset.Columns = SIDE
        dataset.BitsStored, dataset.HighBit = 16, 15
        dataset.PixelData = np.clip(values + 1024, 0, 4095).astype("<u2").tobytes()
        save_dataset(dataset, folder / f"IM{index:04d}.dcm", JPEG2000Lossless if compressed else ExplicitVRLittleEndian)


def own_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def living_seconds() -> float:
    """Return the CPU seconds of living descendants, and of theirs that have ended: workers of worker servers among them."""
    parents, used = {}, {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(entry.parent.name)
        parents[pid], used[pid] = int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    total = 0.0
    for pid in parents:
        above = parents[pid]
        while above in parents and above != os.getpid():
            above = parents[above]
        total += used[pid] if above == os.getpid() else 0.0
    return total


def measured(call) -> float:
    """Return the CPU seconds of a call, in this process and all its descendants; looking them up does not count."""
    os.sync()  # what others left to be written is not this call's
    before = living_seconds()
    started = own_seconds()
    call()
    used = own_seconds() - started
    return used + living_seconds() - before


def run_ingest(source: Path, out: Path):
    """Ingest into a new store."""
    # Worker processes import this module again: what they do not need is imported here.
    from medkd.dicom.ingest import IngestRequest, ingest

    return ingest(IngestRequest(source, out), secret=b"benchmark")


def run_dcm2niix(source: Path, out: Path) -> None:
    """Convert with dcm2niix as it comes: uncompressed, with its sidecar."""
    out.mkdir(parents=True)
    subprocess.run([str(DCM2NIIX), "-o", str(out), str(source)], check=True, capture_output=True)


def start_seconds() -> dict[str, float]:
    """Return the CPU seconds of processes that start and do nothing: the least of three."""
    commands = {"ours": [sys.executable, "-c", "import medkd.dicom.ingest"], "dcm2niix": [str(DCM2NIIX), "--version"]}
    return {
        name: round(min(measured(lambda command=command: subprocess.run(command, capture_output=True, cwd=ROOT)) for _ in range(3)), 4)
        for name, command in commands.items()
        if Path(command[0]).is_file()
    }


def decode_files(paths: list[Path]) -> None:
    """Decode files and keep nothing."""
    from openjpeg import decode_pixel_data
    from pydicom import dcmread
    from pydicom.encaps import get_frame

    for path in paths:
        dataset = dcmread(path)
        decode_pixel_data(get_frame(dataset.PixelData, 0, number_of_frames=1), version=2)


def run_decoder(source: Path) -> None:
    """Decode every file, on as many cores as ingestion uses: two busy cores of one chip are slower each."""
    paths = sorted(source.iterdir())
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("forkserver")) as pool:
        list(pool.map(decode_files, [paths[begin : begin + 8] for begin in range(0, len(paths), 8)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--memory", nargs=2, metavar=("SOURCE", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        _measure_memory(*map(Path, arguments.memory))
        return
    with tempfile.TemporaryDirectory(prefix="medkd-ingest-") as name:
        folder = Path(name)
        write_series(folder / "raw", SLICES, compressed=False)
        write_series(folder / "j2k", SLICES, compressed=True)
        times: dict[str, list[float]] = {"ours": [], "dcm2niix": [], "ours_j2k": [], "decoder": []}
        redecoded = 0
        # Whatever is started once per process is started before it counts.
        run_ingest(folder / "raw", folder / "warm")
        run_ingest(folder / "j2k", folder / "warm-j2k")
        for repeat in progress_bar(range(REPEATS), title="repeats", unit="repeat", enabled=True):
            store = folder / f"store{repeat}"
            times["ours"].append(measured(lambda store=store: run_ingest(folder / "raw", store)))
            if DCM2NIIX.is_file():
                times["dcm2niix"].append(measured(lambda repeat=repeat: run_dcm2niix(folder / "raw", folder / f"nii{repeat}")))
            times["ours_j2k"].append(measured(lambda store=store: run_ingest(folder / "j2k", store / "j2k")))
            times["decoder"].append(measured(lambda: run_decoder(folder / "j2k")))
            redecoded = run_ingest(folder / "raw", store).decoded_files + run_ingest(folder / "j2k", store / "j2k").decoded_files
        memory = json.loads(
            subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.ingest", "--memory", str(folder / "raw"), str(folder / "memory")],
                check=True,
                capture_output=True,
                text=True,
                cwd=ROOT,
            ).stdout.splitlines()[-1]
        )
    median = {name: statistics.median(values) for name, values in times.items() if values}
    figures = {
        "jpeg2000_ratio_decoder": round(median["ours_j2k"] / median["decoder"], 4),
        "memory_ratio_payload": round(memory["above_base"] / (SLICES * SIDE * SIDE * 2), 4),
        "redecoded_files": redecoded,
    }
    if "dcm2niix" in median:
        figures["cpu_ratio_dcm2niix"] = round(median["ours"] / median["dcm2niix"], 4)
    peers = {
        "cpu_seconds": {name: round(value, 4) for name, value in median.items()},
        "all": times,
        "slices": SLICES,
        "start_seconds": start_seconds(),
    }
    print(json.dumps({"figures": figures, "peers": peers, "n": REPEATS}))


def _measure_memory(source: Path, out: Path) -> None:
    """Print peak memory above what is resident after a small ingestion, in this fresh process. Mapped pages of the store's files count."""
    small = out.with_name("small")
    small.mkdir()
    for path in sorted(source.iterdir())[:3]:
        os.link(path, small / path.name)
    run_ingest(small, out.with_name("small-store"))
    base = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    run_ingest(source, out)
    print(json.dumps({"base": base, "above_base": _status("VmHWM") - base}))


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
