"""Quarantine: the file itself, and beside it why it is there and what would mend it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from data_contracts import IngestCode
from medkd.dicom.discover import FoundFile
from medkd.volumes.store import write_bytes

_MEND = {
    IngestCode.MISSING_META: "Export again as DICOM files (Part 10), or add the file meta information.",
    IngestCode.MISSING_SLICES: "Export the series again and compare the number of images with the scanner's.",
    IngestCode.GANTRY_TILT: "Resample the series upright at the scanner or workstation, and send that.",
    IngestCode.DUPLICATE_UID_CONFLICT: "Two different images carry one instance UID: find out at the source which one is right.",
    IngestCode.TRUNCATED_PIXELS: "The transfer broke off: send the file again.",
    IngestCode.TOO_FEW_SLICES: "Send the whole series.",
    IngestCode.MISSING_POSITION: "Send an acquired series with image position and orientation; projections have no such geometry.",
    IngestCode.ENHANCED_UNSUPPORTED: "Convert to single-frame objects until multi-frame is supported.",
    IngestCode.LABEL_REFERENCES_MISSING: "Send the image series that the label was drawn on, in the same folder.",
    IngestCode.LABEL_GEOMETRY_MISMATCH: "The label lies on another grid: export it on the grid of its image series.",
    IngestCode.PATIENT_ID_COLLISION: "One series names two patients: correct the identity at the source.",
}


def quarantine_file(folder: Path, file: FoundFile, code: IngestCode, evidence: dict[str, Any]) -> Path:
    """Keep a refused file (hard link, or copy across file systems) with its ``reason.json``, in a folder named by its bytes.

    The file's bytes are the original's: quarantine is as confidential as the source.
    """
    place = folder / file.sha256[:16]
    place.mkdir(parents=True, exist_ok=True)
    kept = place / "file"
    if not kept.exists():
        try:
            os.link(file.path, kept)
        except OSError:
            shutil.copyfile(file.path, kept)
    reason = {
        "code": code.value,
        "evidence": evidence,
        "how_to_mend": _MEND.get(code, "Correct the object at its source and send it again."),
        "reproduce": f"medkd ingest {file.relative!r} --json",
        "source_path": file.relative,
        "sha256": file.sha256,
    }
    write_bytes(place / "reason.json", (json.dumps(reason, indent=1, sort_keys=True, default=str) + "\n").encode())
    return place
