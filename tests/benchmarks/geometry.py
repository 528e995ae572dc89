"""The acid test of geometry, ours beside readers in common use.

``python -m tests.benchmarks.geometry --json``: every family of faulty cases in every variant (orientation, spacing, signedness,
encoding), Hounsfield units a known function of patient mm, compared at 4,000 random places. The last line is one JSON object:
``cases`` (series written), ``silently_wrong`` (accepted, by default or after repair, with wrong values), ``wrong_code`` (not named by
their own code by default), ``usable_share`` (right and whole under ``--policy repair``). Peers live in ``.venv-bench``
(``make bench-peers``); without it their column is empty.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from data_contracts import Action
from medkd.phantom.dicom_faults import CASES, write_case
from medkd.phantom.faulty_scan import VARIANTS
from medkd.progress import progress_bar
from tests.benchmarks.acid_test import WRONG_SHARE, ReadVolume, is_named, is_usable, judge, wrong_share
from tests.benchmarks.command import asks_for_json
from tests.benchmarks.peer_readers import READERS

ROOT = Path(__file__).parents[2]
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"


def main() -> None:
    quiet = asks_for_json(__doc__)
    with tempfile.TemporaryDirectory(prefix="medkd-geometry-") as folder:
        root = Path(folder)
        wanted = [(name, variant) for name in CASES for variant in VARIANTS]
        for name, variant in progress_bar(wanted, title="write", unit="series", enabled=True):
            write_case(root / name / variant.name, name, variant)
        figures, complaints, columns = _ours(root)
        peers = _peers(root) if PEER_PYTHON.is_file() else {}
    if not quiet:
        for complaint in complaints:
            print(complaint)
        for name, verdicts in peers.items():
            wrong = sorted({case for case, verdict in verdicts.items() if verdict == "wrong"})
            print(
                f"{name:20s} silently wrong in {sum(v == 'wrong' for v in verdicts.values())}: {', '.join(dict.fromkeys(c[0] for c in wrong))}"
            )
    columns |= {
        name: {kind: sum(v == kind for v in verdicts.values()) for kind in ("right", "wrong", "raised")} for name, verdicts in peers.items()
    }
    print(json.dumps({"figures": figures, "peers": columns, "n": len(wanted)}))


def _ours(root: Path) -> tuple[dict[str, float], list[str], dict[str, dict[str, int]]]:
    columns = {name: {"right": 0, "wrong": 0, "refused": 0} for name in ("medkd", "medkd --policy repair")}
    wrong = misnamed = usable = total = 0
    complaints = []
    for name in progress_bar(CASES, title="ours", unit="case", enabled=True):
        for variant in VARIANTS:
            total += 1
            source = root / name / variant.name
            by_default = judge(source, root / "store" / name / variant.name / "default", name, None)
            repaired = judge(source, root / "store" / name / variant.name / "repair", name, Action.REPAIR)
            for column, judged in zip(columns.values(), (by_default, repaired), strict=True):
                column["wrong" if judged.silently_wrong else "right" if is_usable(name, variant, judged) else "refused"] += 1
            bad = by_default.silently_wrong or repaired.silently_wrong
            named, whole = is_named(name, variant, by_default), is_usable(name, variant, repaired)
            wrong, misnamed, usable = wrong + bad, misnamed + (not named), usable + whole
            if bad or not named or not whole:
                complaints.append(f"{name} {variant.name}: by default {by_default}, repaired {repaired}")
    return {"cases": total, "silently_wrong": wrong, "wrong_code": misnamed, "usable_share": usable / total}, complaints, columns


def _peers(root: Path) -> dict[str, dict[tuple[str, str], str]]:
    """Return reader → series → right, wrong or raised."""
    verdicts: dict[str, dict[tuple[str, str], str]] = {}
    for reader in READERS:
        command = [str(PEER_PYTHON), "-W", "ignore", str(ROOT / "tests" / "benchmarks" / "peer_readers.py")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            own = verdicts.setdefault(reader, {})
            for name in progress_bar(CASES, title=reader, unit="case", enabled=True):
                for variant in VARIANTS:
                    out = root / "peer.npz"
                    process.stdin.write(f"{reader}\t{root / name / variant.name}\t{out}\n")
                    process.stdin.flush()
                    own[name, variant.name] = _verdict(name, _answer(process.stdout), out)
            process.stdin.close()
    return verdicts


def _answer(stream) -> str:
    for line in stream:
        if line.startswith("@@ "):
            return line[3:].strip()
    raise RuntimeError("the peer process ended")


def _verdict(name: str, answer: str, out: Path) -> str:
    if not answer.startswith("ok"):
        return "raised"
    with np.load(out) as arrays:
        count = sum(key.startswith("values_") for key in arrays)
        volumes = [(arrays[f"values_{k}"], arrays[f"affine_{k}"]) for k in range(count)]
    volumes = [pair for pair in volumes if pair[0].ndim == 3 and min(pair[0].shape) > 1]
    if not volumes:
        return "wrong"
    return "wrong" if any(wrong_share(ReadVolume(*pair, _measured(name, pair[0]))) > WRONG_SHARE for pair in volumes) else "right"


def _measured(name: str, values: np.ndarray) -> np.ndarray:
    """Leave out what a peer cannot know: the padded corner (wherever its axes put it), and the fill of a resampling."""
    measured = np.ones(values.shape, dtype=bool)
    if "padding" in name:
        measured &= (values > -1100) & (values < 5000)
    corner = values[0, 0, 0]
    if (values == corner).mean() > 0.02:
        measured &= values != corner
    return measured


if __name__ == "__main__":
    sys.exit(main())
