"""The table that leads from a series key to its source: names of files may be names of people, so it lies in the quarantine."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from medkd.storage.store import write_bytes

TABLE = "quarantine/series.csv"
COLUMNS = ("series_key", "words", "nifti", "source", "first_file", "files")


def write_series_table(out: Path, rows: Iterable[dict[str, str]]) -> Path:
    """Write a line per series; what earlier ingestions into the store wrote of other series stays."""
    path = out / TABLE
    lines = {row["series_key"]: row for row in (*_read(path), *rows)}
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n", extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(lines[key] for key in sorted(lines))
    # Names of files need not be text: what cannot be said is escaped.
    return write_bytes(path, stream.getvalue().encode("utf-8", "backslashreplace"))


def sources_of(store: Path) -> dict[str, Path]:
    """Return where each series of a store was ingested from: a folder, an archive or a file, by series key."""
    return {row["series_key"]: Path(row["source"]) for row in _read(store / TABLE) if row.get("source")}


def first_file_of(store: Path, series_key: str) -> str | None:
    """Return the first file of a series, relative to its source; None where the table does not list it."""
    return next((row["first_file"] for row in _read(store / TABLE) if row["series_key"] == series_key), None)


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return [row for row in csv.DictReader(stream) if row.get("series_key")]
    except (OSError, ValueError, csv.Error):
        return []
