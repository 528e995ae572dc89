"""``python -m tests.tables.tamper``: one flipped byte in each kind of file that is kept, or a file more; and what whoever reads it says.

Ends with status 1 where something altered is read as if it were whole.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_contracts import Cohort, MedkdError, NetworkSpec, Split, Task
from medkd.cohorts.marked import marked_voxels
from medkd.dicom.ingest_cache import read_manifest
from medkd.registry.load_version import load_registered
from medkd.registry.publish import open_registry
from medkd.storage.sealed import load_sealed, write_sealed
from medkd.storage.store import Store
from medkd.storage.workspace import local_workspace
from tests.dicom.drawn import draw_segmentation, draw_series
from tests.dicom.ingesting import ingest_folder
from tests.registered import register_tiny

LIVER = Task(kind="segmentation", classes=("background", "liver"), image_size=(16, 16, 16), intensity="standardised")


class _Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 1
    path.write_bytes(payload)


def answer(read: Callable[[], object], said: _Said) -> str:
    """Return what reading says: a refusal, a warning, or nothing."""
    said.lines.clear()
    try:
        read()
    except MedkdError as error:
        return f"refused {error.code}: {error}"
    warned = [line for line in said.lines if "ALTERED" in line or "altered" in line]
    return f"said and mended: {warned[0]}" if warned else "READ AS IF IT WERE WHOLE"


def _read_store(out: Path) -> None:
    store = Store(out)
    for volume in read_manifest(out).volumes:
        store.read_tensors(volume.array)
        marked_voxels(volume, store)


def rows(root: Path) -> list[tuple[str, str]]:
    """Return (file, what was said) for each kind."""
    said = _Said()
    logging.getLogger("medkd").addHandler(said)
    logging.getLogger("medkd").propagate = False
    series = draw_series(root / "in")
    mask = np.zeros((8, 20, 24), bool)
    mask[2:5, 4:9, 6:12] = True
    draw_segmentation(root / "in" / "seg.dcm", series, {1: mask}, {1: "Liver"}, listed=[series])
    (root / "in" / "broken.dcm").write_bytes((root / "in" / "one000.dcm").read_bytes()[:700])
    out = root / "store"
    ingest_folder(root / "in", out, secret=b"k")
    again = lambda: ingest_folder(root / "in", out, secret=b"k")  # noqa: E731
    found: list[tuple[str, str]] = []

    def tried(path: Path, read: Callable[[], object], change: Callable[[Path], None] = flip, *, base: Path = out) -> None:
        whole = path.read_bytes() if path.is_file() else None
        change(path)
        found.append((path.relative_to(base).as_posix(), answer(read, said)))
        path.unlink(missing_ok=True) if whole is None else path.write_bytes(whole)

    tried(out / "manifest.json", lambda: read_manifest(out))
    tried(next((out / "volumes").iterdir()), lambda: _read_store(out))
    tried(next((out / "labels").iterdir()), lambda: _read_store(out))
    for folder in ("volumes", "labels"):
        tried(out / folder / "s-added.safetensors", lambda: _read_store(out), lambda path: path.write_bytes(b"x") and None)
    tried(out / "quarantine" / "memory.json", again)
    tried(next(out.glob("quarantine/*/file")), again)
    run = root / "run"
    spec = NetworkSpec(builder="basic_unet", spatial_dims=3, options={"features": (2, 2, 2, 2, 2, 2)})
    uri = register_tiny(run, LIVER, spec)
    registry = open_registry(local_workspace(run))
    for path in sorted(path for path in (run / "mlartifacts").rglob("*") if path.is_file()):
        tried(path, lambda: load_registered(registry, uri), base=run)
    tried(path.with_name("added.json"), lambda: load_registered(registry, uri), lambda one: one.write_bytes(b"{}") and None, base=run)
    cohort = Cohort(name="c", origin="test", classes=("a", "b"), cases=(), split=Split(parts={}))
    for name in ("cohort.json", "panel.json"):  # a panel is sealed alike: any record will do
        tried(write_sealed(cohort, run / name), lambda name=name: load_sealed(run / name, Cohort), base=run)
    return found


def main() -> int:
    """Print the table; return 1 where something altered was read."""
    with tempfile.TemporaryDirectory(prefix="tamper-") as folder:
        found = rows(Path(folder))
    for name, outcome in found:
        print(f"{name[-60:]:<62}{outcome.replace(folder, '')[:160]}")
    return int(any(outcome.startswith("READ") for _, outcome in found))


if __name__ == "__main__":
    sys.exit(main())
