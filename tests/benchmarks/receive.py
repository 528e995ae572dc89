"""How fast objects are received, ours beside dcmtk's ``storescp``, by the same sender.

``python -m tests.benchmarks.receive --json``: 200 CT slices of 512 x 512 by dcmtk's ``storescu`` over one association, interleaved repeats.
``receive_instances_per_second``: medians of both, and ours over theirs in the median of the pairs. Each receiver is a process of its own that is
there already. ``lost``: of the objects that were answered with success, how many are not whole in the inbox, over all repeats.

Both sides of dcmtk run without Nagle's algorithm (``TCP_NODELAY``): with it each object waits 40 ms for an acknowledgement, whoever receives.
``storescp`` takes what it gets. Ours walks through every data set, and acknowledges what has its place under its name; neither waits for the disk itself,
and ``synced_instances_per_second`` says what that would cost.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.command import asks_for_json
from tests.benchmarks.ingest import write_series

OBJECTS, REPEATS = 200, 7
_ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
_OURS = """
import sys, threading
from pathlib import Path
from medkd.network.receive import Receiver, ReceiverLimits
from medkd.network.study_inbox import InboxLimits
limits = ReceiverLimits(inbox=InboxLimits(quiet_s=0.0, min_free_bytes=0, sync_objects=sys.argv[3] == "sync"))
with Receiver(Path(sys.argv[1]), int(sys.argv[2]), "MEDKD", host="127.0.0.1", limits=limits) as receiver:
    print("listening", flush=True)
    for line in sys.stdin:
        print(len(receiver.release()), flush=True)
"""


def measure(objects: int = OBJECTS, repeats: int = REPEATS) -> dict[str, Any]:
    """Return ``receive_instances_per_second`` (``ours``, ``storescp``, ``ratio``), ``synced_instances_per_second`` and ``lost``."""
    for program in ("storescu", "storescp"):
        if shutil.which(program) is None:
            raise SystemExit(f"expected {program} of Debian's dcmtk; make system")
    with tempfile.TemporaryDirectory(prefix="medkd-receive-") as folder:
        root = Path(folder)
        write_series(root / "sent", objects, compressed=False)
        rates: dict[str, list[float]] = {"ours": [], "synced": [], "storescp": []}
        lost = 0
        with _ours(root / "inbox", "") as ours, _ours(root / "synced", "sync") as synced, _storescp(root / "peer") as peer:
            for port in (ours.port, synced.port, peer):
                _send(root / "sent", port)  # the first time everything is read from the disk
            for _ in range(repeats):
                for name, port in (("ours", ours.port), ("storescp", peer), ("synced", synced.port)):
                    for place in (ours, synced):
                        place.empty()
                    shutil.rmtree(root / "peer")
                    (root / "peer").mkdir()
                    begin = time.perf_counter()
                    _send(root / "sent", port)
                    rates[name].append(objects / (time.perf_counter() - begin))
                    lost += {"ours": ours.lost, "synced": synced.lost, "storescp": lambda _: 0}[name](root / "sent")
    pairs = [fast / peer for fast, peer in zip(rates["ours"], rates["storescp"], strict=True)]
    return {
        "receive_instances_per_second": {
            "ours": round(statistics.median(rates["ours"]), 1),
            "storescp": round(statistics.median(rates["storescp"]), 1),
            "ratio": round(statistics.median(pairs), 3),
        },
        "synced_instances_per_second": round(statistics.median(rates["synced"]), 1),
        "lost": lost,
    }


class _Ours:
    """A receiver of ours in a process of its own."""

    def __init__(self, inbox: Path, port: int, process: subprocess.Popen[str]) -> None:
        self.inbox, self.port, self.process = inbox, port, process

    def empty(self) -> None:
        """Hand over and remove what came."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.process.stdout.readline()
        for path in self.inbox.glob("*"):
            if path.is_dir() and not path.name.startswith("."):
                shutil.rmtree(path)

    def lost(self, sent: Path) -> int:
        """Return how many objects are not there, or differ in their data sets from what was sent."""
        from pydicom import dcmread

        held = {dcmread(path).SOPInstanceUID: path for path in self.inbox.rglob("*.dcm")}
        pairs = [(dcmread(path), held.get(dcmread(path).SOPInstanceUID)) for path in sent.iterdir()]
        return sum(there is None or dcmread(there).PixelData != one.PixelData for one, there in pairs)


@contextmanager
def _ours(inbox: Path, sync: str) -> Iterator[_Ours]:
    port = _free_port()
    command = [sys.executable, "-c", _OURS, str(inbox), str(port), sync]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield _Ours(inbox, port, process)
        process.terminate()


@contextmanager
def _storescp(folder: Path) -> Iterator[int]:
    folder.mkdir()
    port = _free_port()
    with subprocess.Popen(["storescp", str(port), "-od", str(folder)], env=_ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
        process.terminate()


def _send(folder: Path, port: int) -> None:
    subprocess.run(["storescu", "-aec", "MEDKD", "127.0.0.1", str(port), "+sd", str(folder)], check=True, env=_ENVIRONMENT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Print the figures."""
    quiet = asks_for_json(__doc__)
    found = measure()
    if not quiet:
        for name, value in found.items():
            print(f"{name.ljust(32)} {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
