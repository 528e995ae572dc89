from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS
from tests.dicom.fuzz import fuzz

#: Mutated lengths ask for gigabytes; what is really allocated stays below this.
MOST_GROWTH_BYTES = 1_500 * 2**20


@pytest.fixture(scope="module")
def seeds(tmp_path_factory, phantom):
    """Return sound files of every encoding, an enhanced object, a segmentation, and the real files where they are."""
    folder = tmp_path_factory.mktemp("seeds")
    written = [path for variant in VARIANTS for path in write_case(folder / variant.name, "regular", variant)[:3]]
    written += write_case(folder / "enhanced", "enhanced", VARIANTS[1])
    written += [phantom[2][0].folder / "SEG0001.dcm"]
    real = Path(os.environ.get("MEDKD_DATA", "../shared/data")) / "dicom_real"
    series = [
        list(write_case(folder / f"{name}-{v.name}", name, v)) for name in ("regular", "slope_per_slice", "padding") for v in VARIANTS
    ]
    return written + sorted(p for p in real.rglob("*") if p.is_file() and p.stat().st_size < 200_000), series


def run(seeds, work, files, seed):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    report = fuzz(*seeds, work, files=files, seed=seed)
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    assert report.mutated >= files
    assert report.unaccounted == 0
    assert report.slowest_seconds < 10
    assert growth < MOST_GROWTH_BYTES
    # A fuzzer whose files are all accepted, or all refused for one reason, tests nothing.
    assert len(report.codes) >= 8
    assert report.volumes > 0
    return report


def test_two_hundred_mutated_files_are_all_accounted_for(seeds, tmp_path):
    assert run(seeds, tmp_path, 200, seed=1).unaccounted == 0


@pytest.mark.extended
@pytest.mark.timeout(3000)
def test_ten_thousand_mutated_files_are_all_accounted_for(seeds, tmp_path):
    report = run(seeds, tmp_path, 10_000, seed=2)
    print(report)
    assert report.unaccounted == 0
