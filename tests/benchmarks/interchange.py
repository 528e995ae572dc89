"""DICOM results that others read, and objects that come over the network.

``python -m tests.benchmarks.interchange --json``: sets of results of an invented study in each of the 48 ways in which the axes of a volume can run
along those of the patient, flips within the plane among them. ``objects`` written, ``dciodvfy_errors`` in them, ``voxels_differing``,
``worst_centroid_mm`` and ``worst_volume_share`` by the worst reader: dcmqi, by position, and OHIF's where it is installed; ``readers`` is how many.
``seconds_512x512x200`` is the wall time of a set of 200 images of 512 x 512 (``cpu_seconds_512x512x200`` with all programs it calls), and
``megabytes`` its size. ``receive_instances_per_second`` is that of ``medkd receive``, under ``peers`` that of dcmtk's ``storescp`` in the same run,
``receive_ratio`` the first by the second, and ``lost`` what was acknowledged and is not there; left out without dcmtk.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from itertools import permutations, product
from pathlib import Path

from data_contracts import ResultSet
from medkd.progress import progress_bar
from medkd.results.write_results import write_results
from tests.results.explained import explained_study

TURNS = [
    tuple(tuple(2.0 * sign * float(axis == place) for place in range(3)) for axis, sign in zip(order, signs, strict=True))
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--orientations", type=int, default=len(TURNS), help="how many of the 48")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medkd-interchange-") as name:
        folder = Path(name)
        sets = [
            _written(folder / str(number), turn=turn)[0]
            for number, turn in enumerate(progress_bar(TURNS[: asked.orientations], title="sets", unit="set", enabled=not asked.json))
        ]
        before, wall = _cpu(), time.perf_counter()
        large, place = _large(folder / "large")
        wall, cpu = time.perf_counter() - wall - large[1], _cpu() - before - large[2]
        megabytes = sum(path.stat().st_size for path in place.iterdir()) / 1e6
    every = [*sets, large[0]]
    read = [one for each in every for one in each.certificate]
    voxels = [one for one in read if one.voxels]
    figures = {
        "objects": sum(len(one.objects) for one in every),
        "dciodvfy_errors": sum(one.errors for one in read),
        "voxels_differing": sum(one.voxels_differing for one in voxels),
        "worst_centroid_mm": max(one.worst_centroid_mm for one in voxels),
        "worst_volume_share": max(one.worst_volume_share for one in voxels),
        "readers": len({one.reader for one in voxels}),
        "seconds_512x512x200": round(wall, 1),
        "cpu_seconds_512x512x200": round(cpu, 1),
        "megabytes": round(megabytes, 1),
    }
    sys.stdout.write(json.dumps({"figures": figures, "peers": {}, "n": len(every)}) + "\n")


def _written(folder: Path, **study: object) -> tuple[ResultSet, Path]:
    explanation, values, files = explained_study(folder, **study)
    return write_results(explanation, values, files, folder / "out")


def _large(folder: Path) -> tuple[tuple[ResultSet, float, float], Path]:
    """Return the set of a large study with the wall and CPU seconds that were spent before it, and its folder."""
    cpu, wall = _cpu(), time.perf_counter()
    explanation, values, files = explained_study(folder, placed_in=(200, 512, 512), turn=((0, 0, 1.5), (0, 0.7, 0), (0.7, 0, 0)))
    spent = time.perf_counter() - wall, _cpu() - cpu
    found, place = write_results(explanation, values, files, folder / "out")
    return (found, *spent), place


def _cpu() -> float:
    """Return the CPU seconds of this process and of those it started and that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
