"""Markers left behind and required actions taken, ours beside de-identifiers in common use.

``python -m tests.benchmarks.deidentification --json``: one marker in every attribute of PS3.15 Table E.1-1, at the top and in two levels
of kept sequences; private, file-meta and preamble markers; names in six character sets. ``markers`` planted, ``left`` found again in
what was written. ``required_actions`` of a planted set (``planted_set``: 60 patients, seven modalities and structure sets) by the action types of
the MIDI-B challenge, ``actions_right`` the share that was taken, removal and retention alike. Peers run with their defaults in ``.venv-bench``
(``make bench-peers``).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pydicom import dcmread

from flows.policy import read_policy
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from tests.benchmarks.command import asks_for_json
from tests.benchmarks.marked_dicom import Marker, left, write_marked, write_named
from tests.benchmarks.peer_deidentifiers import TOOLS
from tests.benchmarks.planted_set import write_set
from tests.benchmarks.required_actions import Required, score

ROOT = Path(__file__).parents[2]
_PATIENTS = 60
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
        files, required = write_set(folder / "set", patients=_PATIENTS)
        ours = score(required, de_identified(folder / "set", files, folder / "set-out"), files)
        if not quiet:
            for one in ours.wrong[:40]:
                print("wrong:", one)
        peers: dict[str, dict[str, Any]] = {}
        for tool in TOOLS if PEER_PYTHON.is_file() else ():
            peers[tool] = {**_peer(tool, planted, folder), **_peer_actions(tool, files, required, folder)}
    figures = {"markers": total, "left": len(found), **ours.figures()}
    print(json.dumps({"figures": figures, "peers": peers, "n": total + len(required)}))


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


def de_identified(source: Path, files: dict[str, Path], out: Path) -> dict[str, Path]:
    """De-identify a planted set with burned-in text repaired, and return what was written of each file: their numbers tell which is which."""
    deidentify_folder(DeidentifyRequest(source, out, policy=read_policy("repair")), secret=b"benchmark")
    by_number = {int(dcmread(path, stop_before_pixels=True).get("InstanceNumber", 0)): path for path in out.rglob("*.dcm")}
    return {name: by_number[number] for number, name in enumerate(files, 1) if number in by_number}


def _peer_actions(tool: str, files: dict[str, Path], required: list[Required], folder: Path) -> dict[str, Any]:
    """Return how many of the required actions a tool takes."""
    source, target = folder / "peer-set", folder / f"peer-{tool}"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    target.mkdir()
    for name, path in files.items():
        shutil.copy(path, source / name)
    command = [str(PEER_PYTHON), str(ROOT / "tests" / "benchmarks" / "peer_deidentifiers.py"), tool, str(source), str(target)]
    subprocess.run(command, capture_output=True)
    written = {name: target / name for name in files if (target / name).is_file()}
    return {**score(required, written, files).figures(), "set_files_failed": len(files) - len(written)}


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
