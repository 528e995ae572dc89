"""Quarantine: the file itself, beside it why it is there and what would mend it, and a report that a person can read.

Quarantine is as confidential as the source: files are the originals, and their names may be names of people.
"""

from __future__ import annotations

import json
import logging
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from data_contracts import CODES, IngestCode, IngestReport, Outcome
from data_contracts.private import open_private, private_folder
from data_contracts.record import partial_path
from medkd.dicom.found_file import FoundFile
from medkd.dicom.ledger import Ledger
from medkd.dicom.pixel_plan import plan_pixels
from medkd.dicom.qc_picture import draw_slice
from medkd.dicom.slices import slices_of
from medkd.dicom.stored_values import stored_values
from medkd.progress import progress_bar
from medkd.storage.store import sha256_file, write_bytes

_LOG = logging.getLogger("medkd")
FOLDER, REPORT = "quarantine", "report.html"
#: Pictures drawn per code: enough to see what it is about.
_PICTURES = 3


def write_quarantine(out: Path, ledger: Ledger, report: IngestReport, *, again: str, progress: bool = False) -> Path:
    """Keep every refused file and write the report of the whole ingestion; return where the report lies.

    ``again`` is the command that judges the same source again, as a shell takes it from any folder.
    """
    folder = out / FOLDER
    places: dict[str, Path] = {}
    drawn: dict[IngestCode, list[Path]] = {}
    refused = sorted(ledger.refused.values(), key=lambda entry: entry[0].relative)
    for file, code, evidence in progress_bar(refused, title="quarantine", unit="file", enabled=progress):
        place = quarantine_file(folder, file, (code, evidence), again)
        places[file.relative] = place
        if len(drawn.setdefault(code, [])) < _PICTURES and (picture := _draw(file, place)) is not None:
            drawn[code].append(picture)
    path = folder / REPORT
    write_bytes(path, _page(report, places, drawn, folder).encode())
    return path


def quarantine_file(folder: Path, file: FoundFile, refusal: tuple[IngestCode, dict[str, Any]], again: str) -> Path:
    """Keep a copy of a refused file with its ``reason.json``, in a folder named by its bytes.

    Never a link: what is kept must not change with the source, nor the source with what is kept. A link of an earlier version is replaced.
    """
    code, evidence = refusal
    # By its bytes: names of files may be names of people, and two files of one name are two.
    place = folder / file.sha256[:16]
    private_folder(place)
    kept = place / "file"
    altered = kept.is_file() and file.readable and sha256_file(kept) != file.sha256
    if altered:
        _LOG.warning("QUARANTINE_ALTERED: expected %s as it came, it was altered; it is replaced by the source's bytes", kept)
    # A second link says that the bytes are still the source's own.
    if file.readable and (altered or not kept.exists() or kept.stat().st_nlink > 1):
        partial = partial_path(kept)
        with file.path.open("rb") as source, open_private(partial) as sink:
            shutil.copyfileobj(source, sink, 2**20)
        partial.replace(kept)
    reason = {
        "code": code.value,
        "meaning": CODES[code].meaning,
        "evidence": evidence,
        "how_to_mend": CODES[code].mend,
        "repair": CODES[code].repair or None,
        "reproduce": again,
        "source_path": file.relative,
        "sha256": file.sha256 if file.readable else None,
    }
    write_bytes(place / "reason.json", (json.dumps(reason, indent=1, sort_keys=True, default=str) + "\n").encode())
    return place


def _draw(file: FoundFile, place: Path) -> Path | None:
    """Draw the middle picture of a refused image, once; None where there is nothing to see or it was tried before."""
    path, tried = place / "picture.png", place / "no-picture"
    if path.is_file():
        return path
    if file.header is None or "Rows" not in file.header or tried.is_file():
        return None
    try:
        slices = slices_of(file)
        middle = slices[len(slices) // 2]
        return draw_slice(stored_values(plan_pixels(middle, cut_bits=True, keep_nan=True)), middle.spacing_mm, path)
    except Exception:  # what was refused may be broken in any way; a report without its picture is a report
        write_bytes(tried, b"")
        return None


def _refusal_of(evidence: str) -> dict[str, str]:
    """Return the sentence of a refusal, and what was measured as short pairs."""
    found = json.loads(evidence or "{}")
    measured = {
        name: f"{value:.4g}" if isinstance(value, float) else value for name, value in found.items() if name not in ("what", "file")
    }
    return {"what": str(found.get("what", "")), "measured": ", ".join(f"{name} {value}" for name, value in measured.items())}


@cache
def _template() -> Template:
    environment = Environment(loader=PackageLoader("medkd.dicom", "templates"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("ingest_report.html")


def _page(report: IngestReport, places: dict[str, Path], drawn: dict[IngestCode, list[Path]], folder: Path) -> str:
    groups = []
    for name, count in report.codes().items():
        code = IngestCode(name)
        rows = [
            {"path": file.path, **_refusal_of(file.evidence), "place": places[file.path].name if file.path in places else ""}
            for file in report.files
            if file.code is code
        ]
        pictures = [picture.relative_to(folder).as_posix() for picture in drawn.get(code, [])]
        groups.append({"code": name, "count": count, "fact": CODES[code], "rows": rows, "pictures": pictures})
    counts = {outcome.value: report.count(outcome) for outcome in Outcome}
    facts = {code.value: CODES[code] for code in IngestCode}
    return _template().render(found=len(report.files), counts=counts, series=report.series, groups=groups, facts=facts)
