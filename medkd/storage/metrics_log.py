"""The metrics of a training, line by line."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from medkd.storage.store import write_bytes

#: What a line holds beside its metrics: the epoch (from 1), and when it ended (seconds since 1970), where a version noted it.
EPOCH, TIME = "epoch", "unix_time"


class MetricsLog:
    """Metrics as JSON lines, flushed to disk once per epoch. Training never talks to a tracking server.

    Args:
        path: ``metrics.jsonl``; lines of epochs that will be repeated are dropped when training resumes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, float]]:
        """Return all complete lines; one that is no line of ours is left out."""
        if not self.path.is_file():
            return []
        found = (_metrics(line) for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines())
        return [line for line in found if line is not None]

    def write_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of one epoch (counted from 1) with the time, replacing lines of this epoch and later ones."""
        # A resumed run repeats epochs: their earlier lines would be a second curve.
        kept = [line for line in self.read() if line[EPOCH] < epoch]
        lines = [json.dumps(line, sort_keys=True) for line in (*kept, {EPOCH: epoch, TIME: time.time(), **metrics})]
        write_bytes(self.path, ("\n".join(lines) + "\n").encode())


def _metrics(line: str) -> dict[str, float] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    # A line that was cut by a kill may still be JSON of another kind.
    numbers = isinstance(found, dict) and all(isinstance(value, int | float) for value in found.values())
    return found if numbers and EPOCH in found else None
