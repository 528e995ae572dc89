"""How fast a served review answers, and whether twenty readers at once are all answered: `python -m tests.benchmarks.review_server --json`.

A hundred studies, of which two have 200 slices of 512 × 512; the server is a process of its own, as `medkd review serve` starts it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from medkd.review.study_file import NAME, write_study_file
from medkd.review_server.accounts import Accounts
from medkd.review_server.database import Database
from tests.review_clients import PASSWORD, Browser, one_report

READERS, SLICES, STUDIES = 20, 40, 100
LARGE = (200, 512, 512)
_SERVE = "import sys; from flows.cli import main; sys.argv[0] = 'medkd'; main()"


def write(folder: Path) -> Path:
    """Write the studies."""
    for place in range(STUDIES):
        report, arrays = one_report(place, shape=LARGE if place < 2 else (4, 32, 32))
        own = folder / report.volume.series_key
        own.mkdir(parents=True)
        (own / "report.json").write_bytes(report.canonical_json())
        write_study_file(own / NAME, report, arrays)
    return folder


def timed(call, *arguments) -> float:
    """Return the milliseconds that an answer takes; it has to be one."""
    started_at = time.perf_counter()
    answer = call(*arguments)
    if answer.status_code != 200:
        raise RuntimeError(f"expected 200 of {answer.url}, got {answer.status_code}")
    return 1000 * (time.perf_counter() - started_at)


def p95(times: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(times, n=20)[-1]


def work(address: str, name: str, slices: list[float], errors: list[str]) -> None:
    """Be a reader: worklist, own read, forty slices, a map, sign-off."""
    try:
        browser = Browser(address, name)
        key = f"series-00{int(name.split('-')[1]) % 2}"
        browser.get("/")
        browser.read(key)
        own = int(name.split("-")[1])
        for place in range(SLICES):
            slices.append(timed(browser.client.get, f"/study/{key}/slice/axial/{(own * 7 + place) % LARGE[0]}?levels=1"))
            time.sleep(0.25)  # a reader who turns four slices a second
        timed(browser.client.get, f"/study/{key}/heat/0/grad_cam/student/axial/4")
        if browser.sign(key, browser.filled()).status_code != 200:
            errors.append(f"{name}: not signed")
    except Exception as error:
        errors.append(f"{name}: {error!r}")


def measure(folder: Path) -> dict[str, float | int]:
    """Return the figures."""
    reports, data = write(folder / "reports"), folder / "data"
    accounts = Accounts(Database(data))
    names = [f"reader-{place}" for place in range(READERS)]
    for name in names:
        accounts.add(name, PASSWORD)
    command = [sys.executable, "-c", _SERVE, "review", "serve", str(reports), "--data", str(data), "--port", "0"]
    started_at = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    try:
        address = process.stdout.readline().split()[2].rstrip("/;")
        started = time.perf_counter() - started_at
        one = Browser(address, names[0])
        first = timed(one.get, "/")
        lists = [timed(one.get, "/") for _ in range(20)]
        one.read("series-000")
        page = timed(one.get, "/study/series-000")
        cold = [timed(one.client.get, f"/study/series-000/slice/axial/{place}?levels=1") for place in range(0, 200, 5)]
        planes = [
            timed(one.client.get, f"/study/series-000/slice/{plane}/{place}?levels=1")
            for plane in ("coronal", "sagittal")
            for place in range(0, 500, 25)
        ]
        slices: list[float] = []
        errors: list[str] = []
        threads = [threading.Thread(target=work, args=(address, name, slices, errors)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        process.terminate()
        process.wait(20)
    return {
        "start_s": round(started, 2),
        "worklist_first_ms": round(first, 1),
        "worklist_ms": round(p95(lists), 1),
        "study_page_ms": round(page, 1),
        "slice_p95_ms": round(p95(cold), 1),
        "plane_p95_ms": round(p95(planes), 1),
        "slice_20_readers_p95_ms": round(p95(slices), 1),
        "errors_20_readers": len(errors),
    }


def main() -> None:
    """Measure and say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        figures = measure(Path(scratch))
    last = json.dumps({"figures": figures, "peers": {}, "n": STUDIES})
    print(last if arguments.json else "\n".join(f"{name:26} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
