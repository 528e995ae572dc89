"""How cost grows with the number of series: measured from 10² to 10⁵, and what follows of it for 10⁶ and 10⁹ studies.

``python -m tests.benchmarks.scale --measure`` measures and writes ``docs/scale.json``; without it, the parameters are read from there.
Both then simulate, draw ``docs/scale.png`` and write the tables of ``docs/scale.md``; the last line is one JSON object.

Measured, each in a process of its own, as CPU seconds: the ingestion of so many series of 20 slices of 32 x 32 pixels (``ingest``); the ingestion of
one more such series into a store whose manifest, memory and table hold N others already (``one_more``: their volumes are empty files, for nobody
reads them); and what finds out which of N series are not on a worklist of N (``waiting``).
The simulation takes a queue of arrivals by chance and workers of constant service (M/D/c), and lines through the measured points.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.orchestration import INGEST, SLICES, call, write_files

ROOT = Path(__file__).parents[2]
PARAMETERS, PICTURE, PAGE = (ROOT / "docs" / f"scale.{kind}" for kind in ("json", "png", "md"))
#: Where the tables stand in the page.
BEGIN, END = "<!-- written by tests.benchmarks.scale -->", "<!-- end -->"
WAITING = """
import json, resource, sys, time
from pathlib import Path
from data_contracts import StoreManifest, Worklist, load_record
started = time.process_time()
volumes = json.loads(Path(sys.argv[1]).read_text())
listed = load_record(Path(sys.argv[2]), Worklist).series_of("models:/a/1")
waiting = [one for one in volumes if one not in listed]
spent = time.process_time() - started
print(json.dumps({"cpu": spent, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "waiting": len(waiting)}))
"""


def measure(ingested: Sequence[int], stored: Sequence[int]) -> dict[str, Any]:
    """Return CPU seconds and peak memory, MiB, by the number of series."""
    from medkd.planning.processor import processor_name

    found: dict[str, Any] = {"processor": processor_name(), "slices": SLICES, "ingest": [], "one_more": [], "waiting": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for count in sorted(ingested):
            write_files(folder / "source", count * SLICES)
            said = json.loads(call(["-c", INGEST, str(folder / "source"), str(folder / "store")]).splitlines()[-1])
            size = sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())
            found["ingest"].append({"series": count, "cpu": said["cpu"], "peak_mib": said["peak"], "store_bytes": size})
            shutil.rmtree(folder / "store")
        shutil.rmtree(folder / "source")
        write_files(folder / "one", SLICES)
        for count in sorted(stored):
            out = folder / f"store-{count}"
            fill_store(out, count, folder / "one")
            said = json.loads(call(["-c", INGEST, str(folder / "one"), str(out)]).splitlines()[-1])
            size = sum((out / name).stat().st_size for name in ("manifest.json", "quarantine/memory.json", "quarantine/series.csv"))
            found["one_more"].append({"series": count, "cpu": said["cpu"], "peak_mib": said["peak"], "index_bytes": size})
            found["waiting"].append({"series": count, **waiting(folder, out, count)})
            shutil.rmtree(out)
            sys.stderr.write(f"{found['one_more'][-1]}\n")
    return found


def fill_store(out: Path, count: int, one: Path) -> None:
    """Make a store that holds one ingested series and lists as many others that were made from it."""
    from data_contracts import IngestPolicy
    from medkd.dicom.ingest_cache import MANIFEST, MEMORY, IngestCache, read_manifest
    from medkd.dicom.series_table import write_series_table
    from medkd.storage.sealed import write_sealed

    call(["-c", INGEST, str(one), str(out)])
    manifest = read_manifest(out)
    (volume,), (record,) = manifest.volumes, manifest.series
    keys = [f"s{hashlib.sha256(str(number).encode()).hexdigest()[:16]}" for number in range(count - 1)]
    digests = {key: hashlib.sha256(key.encode()).hexdigest() for key in keys}
    references = {key: volume.array.model_copy(update={"key": f"volumes/{key}.safetensors", "sha256": digests[key]}) for key in keys}
    volumes = [volume.model_copy(update={"series_key": key, "array": references[key]}) for key in keys]
    records = [record.model_copy(update={"series_key": key, "volume_digest": digests[key]}) for key in keys]
    listed = manifest.model_copy(
        update={
            "volumes": tuple(sorted((volume, *volumes), key=lambda item: item.series_key)),
            "series": tuple(sorted((record, *records), key=lambda item: item.series_key)),
        }
    )
    for key in keys:
        (out / "volumes" / f"{key}.safetensors").touch()
    cache = IngestCache(out, IngestPolicy())
    for key, digest in digests.items():
        cache.keep(f"volume:{key}", digest)
    cache.write()
    write_series_table(
        out, ({"series_key": key, "words": "CT axial", "source": "/in", "first_file": f"{key}/IM0000.dcm", "files": "20"} for key in keys)
    )
    write_sealed(listed, out / MANIFEST)
    # The one series is taken away again from what is remembered: its next ingestion is that of a new one.
    memory = json.loads((out / MEMORY).read_text(encoding="utf-8"))
    del memory["known"][f"volume:{volume.series_key}"]
    memory["sha256"] = hashlib.sha256(json.dumps(memory["known"], sort_keys=True).encode()).hexdigest()
    (out / MEMORY).write_text(json.dumps(memory, sort_keys=True), encoding="utf-8")


def waiting(folder: Path, store: Path, count: int) -> dict[str, float]:
    """Return what it costs to find the one series of a store that is not on the worklist."""
    from datetime import UTC, datetime

    from data_contracts import Worklist, WorklistEntry
    from medkd.dicom.ingest_cache import read_manifest

    keys = [one.series_key for one in read_manifest(store).volumes]
    (folder / "keys.json").write_text(json.dumps(keys), encoding="utf-8")
    entries = tuple(
        WorklistEntry(series_key=key, model="models:/a/1", outcome="reported", page="p.html", at=datetime.now(UTC)) for key in keys[1:]
    )
    Worklist(entries=entries).write(folder / "worklist.json")
    said = json.loads(call(["-c", WAITING, str(folder / "keys.json"), str(folder / "worklist.json")]).splitlines()[-1])
    if said["waiting"] != 1 or len(keys) != count:
        raise SystemExit(f"expected one of {count} series to wait, got {said['waiting']} of {len(keys)}")
    return {"cpu": said["cpu"], "peak_mib": said["peak"]}


def line(points: Sequence[dict[str, float]], value: str) -> tuple[float, float]:
    """Return intercept and slope of a value by the number of series: relative errors count, for the numbers span decades."""
    x, y = (np.array([point[name] for point in points]) for name in ("series", value))
    slope, intercept = np.polyfit(x, y, 1, w=1 / y)
    return float(max(intercept, 0.0)), float(slope)


def queue(rate: float, service: float, servers: int, *, arrivals: int = 20000, seed: int = 0) -> float:
    """Return the mean seconds that an arrival waits for a free server (M/D/c, simulated).

    Args:
        rate: arrivals per second, by chance (Poisson).
        service: seconds of each.
        servers: that serve in the order of arrival.
        arrivals: that are simulated; the first tenth does not count.
        seed: of the draws.
    """
    times = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, arrivals))
    free = [0.0] * servers
    waits = []
    for time in times:
        start = max(float(time), heapq.heappop(free))
        heapq.heappush(free, start + service)
        waits.append(start - float(time))
    return float(np.mean(waits[arrivals // 10 :]))


def simulate(found: dict[str, Any], assumed: argparse.Namespace) -> dict[str, Any]:
    """Return what the measured parameters mean for a site that gathers its studies over some years.

    Today's layout ingests one arrival after another, and each rewrites the index of all; the sharded one keeps so many series in a manifest that
    adding one costs at most ``assumed.update`` seconds more than in an empty store, and has as many workers as keep to ``assumed.busy``.
    """
    largest = found["ingest"][-1]
    per_series = largest["cpu"] / largest["series"]
    fixed, per_stored = line(found["one_more"], "cpu")
    _, memory_per_stored = line(found["one_more"], "peak_mib")
    working = assumed.years * 365 * assumed.hours * 3600.0
    limits = {
        # One process: arrivals of a working day take longer than the day, n/T x (fixed + b n) = 1.
        "time": (-fixed + math.sqrt(fixed**2 + 4 * per_stored * working)) / (2 * per_stored),
        "memory": assumed.memory * 1024 / memory_per_stored,
    }
    capacity = assumed.update / per_stored
    rows = []
    for studies in assumed.studies:
        series = studies * assumed.series
        rate = series / working
        service = fixed + assumed.update
        workers = max(1, math.ceil(rate * service / assumed.busy))
        shards = math.ceil(series / capacity)
        rows.append(
            {
                "studies": studies,
                "rate": rate,
                "index_seconds": fixed + per_stored * series,
                "index_gib": memory_per_stored * series / 1024,
                "load_today": rate * (fixed + per_stored * series),
                "shards": shards,
                "workers": workers,
                "wait_s": queue(rate, service, workers),
                # Two arrivals of one shard wait for its lock: the update alone, for decoding needs none.
                "lock_share": rate / shards * (fixed + assumed.update),
            }
        )
    return {"per_series": per_series, "fixed": fixed, "per_stored": per_stored, "capacity": capacity, "limits": limits, "rows": rows}


def draw(found: dict[str, Any], simulated: dict[str, Any], working: float) -> None:
    """Draw cost against number, with the measured points and where the first limit lies."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.6), dpi=120)
    n = np.logspace(2, 9.5, 200)
    axes.loglog(n, simulated["fixed"] + simulated["per_stored"] * n, color="C3", label="index of the store, rewritten by each arrival")
    axes.loglog(n, np.full_like(n, simulated["per_series"]), color="C0", label="one series: read, verify, store")
    axes.loglog(n, working / n, color="0.5", linestyle="--", label="time between two arrivals")
    points = found["one_more"]
    axes.plot([one["series"] for one in points], [one["cpu"] for one in points], "o", color="C3")
    points = found["ingest"]
    axes.plot([one["series"] for one in points], [one["cpu"] / one["series"] for one in points], "o", color="C0")
    limit = simulated["limits"]["time"]
    axes.axvline(limit, color="C3", linewidth=1)
    axes.annotate(
        f"first bottleneck:\n{limit:.1e} series, one process\nis busy all day",
        (limit, 3e2),
        (limit * 3, 5e3),
        arrowprops={"arrowstyle": "->"},
    )
    axes.set_xlabel("series in the store")
    axes.set_ylabel("CPU seconds per arriving series")
    axes.set_ylim(1e-3, 1e6)
    axes.legend(loc="upper left", fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(PICTURE)


def tables(found: dict[str, Any], simulated: dict[str, Any]) -> str:
    """Return the tables of the page as Markdown."""
    lines = [f"CPU seconds and peak MiB of one process, {found['processor']}, series of {found['slices']} slices of 32 × 32.", ""]
    lines += ["| series | ingest all, s | per series, s | peak | bytes of the store |", "|---|---|---|---|---|"]
    lines += [
        f"| {one['series']:,} | {one['cpu']:.1f} | {one['cpu'] / one['series']:.4f} | {one['peak_mib']:.0f} | {one['store_bytes']:,} |"
        for one in found["ingest"]
    ]
    lines += [
        "",
        "| series in the store | one more, s | peak | index, MiB | what waits for a model, s | peak |",
        "|---|---|---|---|---|---|",
    ]
    for one, look in zip(found["one_more"], found["waiting"], strict=True):
        lines.append(
            f"| {one['series']:,} | {one['cpu']:.2f} | {one['peak_mib']:.0f} | {one['index_bytes'] / 2**20:.1f} | {look['cpu']:.3f} | {look['peak_mib']:.0f} |"
        )
    lines += [
        "",
        "| studies | arrivals per s | today: s per arrival | busy | memory, GiB | manifests | workers | waits, s | lock held |",
        "|---" * 9 + "|",
    ]
    for row in simulated["rows"]:
        lines.append(
            f"| {row['studies']:.0e} | {row['rate']:.3g} | {row['index_seconds']:.3g} | {row['load_today']:.3g} | {row['index_gib']:.3g} | "
            f"{row['shards']:,} | {row['workers']:,} | {row['wait_s']:.2g} | {row['lock_share']:.1e} |"
        )
    limits = simulated["limits"]
    lines += [
        "",
        f"First limits of one store in one process: time at {limits['time']:.2g} series, memory at {limits['memory']:.2g} series. "
        f"A manifest for the sharded layout holds {simulated['capacity']:,.0f} series.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure or read, simulate, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure anew and write docs/scale.json")
    parser.add_argument("--ingest", type=int, nargs="+", default=[100, 1000], help="series that are ingested")
    parser.add_argument("--stored", type=int, nargs="+", default=[100, 1000, 10000, 100000], help="series of stores that get one more")
    parser.add_argument("--studies", type=float, nargs="+", default=[1e4, 1e6, 1e9], help="of the sites that are simulated")
    parser.add_argument("--series", type=float, default=4, help="series of a study")
    parser.add_argument("--years", type=float, default=5, help="in which a site gathers its studies")
    parser.add_argument("--hours", type=float, default=12, help="of a day in which studies arrive")
    parser.add_argument("--busy", type=float, default=0.7, help="share of the time that workers may be busy")
    parser.add_argument("--update", type=float, default=1.0, help="seconds that rewriting a manifest may take")
    parser.add_argument("--memory", type=float, default=16, help="GiB of one machine")
    parser.add_argument("--json", action="store_true", help="write nothing, print the last line")
    given = parser.parse_args()
    if given.measure:
        PARAMETERS.write_text(json.dumps(measure(given.ingest, given.stored), indent=1) + "\n", encoding="utf-8")
    found = json.loads(PARAMETERS.read_text(encoding="utf-8"))
    simulated = simulate(found, given)
    if not given.json:
        draw(found, simulated, given.years * 365 * given.hours * 3600.0)
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{tables(found, simulated)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    figures = {f"limit_{name}_series": value for name, value in simulated["limits"].items()}
    figures |= {name: simulated[name] for name in ("per_series", "fixed", "per_stored", "capacity")}
    sys.stdout.write(json.dumps({"figures": {name: float(f"{value:.4g}") for name, value in figures.items()}, "peers": {}, "n": 1}) + "\n")


if __name__ == "__main__":
    main()
