"""Markers left behind, ours beside de-identifiers in common use.

``python -m tests.benchmarks.deidentification --json``: one marker in every attribute of PS3.15 Table E.1-1, at the top and in two levels
of kept sequences; private, file-meta and preamble markers; names in six character sets. ``markers`` planted, ``left`` found again in
what was written. Peers run with their defaults in ``.venv-bench`` (``make bench-peers``).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from tests.benchmarks.command import asks_for_json
from tests.benchmarks.marked_dicom import Marker, left, write_marked, write_named
from tests.benchmarks.peer_deidentifiers import TOOLS

ROOT = Path(__file__).parents[2]
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"


def main() -> None:
    quiet = asks_for_json(__doc__)
    with tempfile.TemporaryDirectory(prefix="medkd-deid-") as name:
        folder = Path(name)
        planted = {folder / "marked.dcm": write_marked(folder / "marked.dcm"), **write_named(folder)}
        total = sum(map(len, planted.values()))
        found = _ours(planted, folder / "ours")
        if not quiet:
            for marker in found[:40]:
                print("left:", [f"{tag:08X}" for tag in marker.path], marker.value)
        peers = {tool: _peer(tool, planted, folder) for tool in TOOLS} if PEER_PYTHON.is_file() else {}
    print(json.dumps({"figures": {"markers": total, "left": len(found)}, "peers": peers, "n": total}))


def _ours(planted: dict[Path, list[Marker]], folder: Path) -> list[Marker]:
    found = []
    for number, (path, markers) in enumerate(planted.items()):
        out = folder / str(number)
        report = deidentify_folder(DeidentifyRequest(path, out), secret=b"benchmark")
        written = list(out.rglob("*.dcm"))
        # A file that was not published leaves nothing behind, but it would be no answer either.
        assert len(written) == 1, report.summary()
        found += left(written[0], markers)
    return found


def _peer(tool: str, planted: dict[Path, list[Marker]], folder: Path) -> dict[str, int]:
    """Return markers left, and files that the tool could not treat (all their markers count as left)."""
    remaining = failed = 0
    for path, markers in planted.items():
        source, target = folder / "peer-in.dcm", folder / "peer-out.dcm"
        shutil.copy(path, source)
        target.unlink(missing_ok=True)
        command = [str(PEER_PYTHON), str(ROOT / "tests" / "benchmarks" / "peer_deidentifiers.py"), tool, str(source), str(target)]
        done = subprocess.run(command, capture_output=True)
        if done.returncode or not target.is_file():
            failed += 1
            continue
        remaining += len(left(target, markers))
    return {"left": remaining, "files_failed": failed}


if __name__ == "__main__":
    main()
