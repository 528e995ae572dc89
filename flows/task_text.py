"""What the log of a task run says of its result: figures, never names of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_contracts import Checkpoint, IngestReport

if TYPE_CHECKING:
    from medkd.dicom.ingest_shard import ShardResult


def training_text(checkpoint: Checkpoint) -> str:
    """Say what a training came to."""
    return f"{checkpoint.epochs} epochs, {checkpoint.parameters:,} parameters, {checkpoint.train_seconds:.1f} s of training"


def ingest_text(report: IngestReport) -> str:
    """Say how many files became what."""
    counts = report.summary()["ingest"]
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def shard_text(result: ShardResult) -> str:
    """Say how much a shard came to."""
    return f"{len(result.found)} files, {len(result.volumes)} volumes"
