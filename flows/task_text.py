"""What the log of a task run says of its result: figures, never names of files."""

from __future__ import annotations

from data_contracts import Checkpoint, IngestReport


def training_text(checkpoint: Checkpoint) -> str:
    """Say what a training came to."""
    return f"{checkpoint.epochs} epochs, {checkpoint.parameters:,} parameters, {checkpoint.train_seconds:.1f} s of training"


def ingest_text(report: IngestReport) -> str:
    """Say how many files became what."""
    counts = report.summary()["ingest"]
    return ", ".join(f"{count} {name}" for name, count in counts.items())
