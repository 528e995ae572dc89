"""``python -m tests.tables.modes``: modes of everything that ingest, a run, a study and its reports leave, under umask 022.

Ends with status 1 where others may read, write or enter something.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from data_contracts import NetworkSpec, Task
from flows.demo import _TINY, RECIPES
from tests.dicom.drawn import draw_series
from tests.registered import register_tiny

LIVER = Task(kind="segmentation", classes=("background", "liver"), image_size=(16, 16, 16), intensity="standardised")
SPEC = NetworkSpec(builder="basic_unet", spatial_dims=3, options={"features": (2, 2, 2, 2, 2, 2)})
#: Enough that it ends.
QUICK = {"data.student": 32, "student.fit.epochs": 1, "teacher.fit.epochs": 1, "teacher.gate.enforce": "false", "explain.cases": 1}


def modes(folder: Path) -> Counter[tuple[str, str]]:
    """Return (kind, mode) → how many, of a folder and everything in it."""
    every = (path for path in (folder, *folder.rglob("*")) if not path.is_symlink())
    return Counter(("folder" if path.is_dir() else "file", f"{stat.S_IMODE(path.stat().st_mode):04o}") for path in every)


def main() -> int:
    """Print the table; return 1 where something is open to others."""
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="modes-") as scratch:
        root = Path(scratch)
        draw_series(root / "in", slices=16)
        model = register_tiny(root / "models", LIVER, SPEC)
        overrides = [part for name, value in {**_TINY, **QUICK}.items() for part in ("--set", f"{name}={value}")]
        asked = {
            "ingest": ("ingest", root / "in", "--out", root / "store", "--nifti"),
            "run": ("run", RECIPES / "phantom-classification.yaml", "--out", root / "run", "--engine", "none", *overrides),
            "run-study": ("run-study", root / "in", "--model", model, "--run", root / "models", "--out", root / "study"),
            "report": ("report-store", root / "store", "--run", root / "models", "--model", model, "--out", root / "pages"),
        }
        made = {"ingest": "store", "run": "run", "run-study": "study", "report": "pages"}
        open_to_others = 0
        print(f"{'after':<12}{'kind':<8}{'mode':<7}{'how many':>8}")
        for name, arguments in asked.items():
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "flows.cli", *map(str, arguments)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"{name} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1]}")
                return 1
            for (kind, mode), count in sorted(modes(root / made[name]).items()):
                open_to_others += count * bool(int(mode, 8) & 0o077)
                print(f"{name:<12}{kind:<8}{mode:<7}{count:>8}")
    return int(open_to_others > 0)


if __name__ == "__main__":
    sys.exit(main())
