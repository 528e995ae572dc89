"""Every real file there is, ingested by itself: accepted, or refused with a reason.

``python -m tests.benchmarks.real_files --json``: the files that pydicom ships for its own tests, and those of ``dicom_real`` in the real data
where ``MEDKD_DATA`` names them. Each file is a source of its own, so that no file is a duplicate of another or completes its series: single slices
of CT and MR are rightly too few. Ingested twice: as the policy comes, and with secondary captures, lettering, missing file headers and missing
patient numbers admitted. The last line is one JSON object: ``figures`` (``files``, ``accepted``, ``refused``, ``ignored``, ``crashes``) of both,
and ``table``: kind of object, code (or ``accepted``) and how often.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import UID

from data_contracts import Action, FileOutcome, IngestCode, IngestPolicy, Outcome
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.progress import progress_bar
from tests.benchmarks.command import asks_for_json

#: What a reader admits who wants to see every picture there is.
ADMITTING = IngestPolicy(
    actions={
        IngestCode.SECONDARY_CAPTURE: Action.ACCEPT_WITH_FLAG,
        IngestCode.BURNED_IN_TEXT: Action.ACCEPT_WITH_FLAG,
        IngestCode.MISSING_META: Action.REPAIR,
        IngestCode.PATIENT_ID_MISSING: Action.REPAIR,
    }
)
POLICIES = {"as it comes": IngestPolicy(), "admitting pictures": ADMITTING}


def real_files() -> list[Path]:
    """Return the files that are ingested: what is no DICOM among them stays, what lists others does not."""
    roots = [Path(pydicom.__file__).parent / "data"]
    roots += [Path(os.environ[name]) / "dicom_real" for name in ("MEDKD_DATA",) if name in os.environ]
    found = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return [path for path in found if not path.name.startswith("DICOMDIR") and path.suffix not in (".py", ".json", ".csv", ".md", ".txt")]


def outcome_of(path: Path, policy: IngestPolicy) -> tuple[FileOutcome | None, str]:
    """Return what became of a file that is ingested by itself, and the name of the error that ended the ingestion or the reading of it."""
    try:
        with tempfile.TemporaryDirectory(prefix="medkd-real-") as folder:
            report = ingest(IngestRequest(path, Path(folder) / "store", policy), secret=b"real files")
    except Exception as error:  # what is looked for
        return None, type(error).__name__
    (file,) = [one for one in report.files if one.path == path.name] or report.files[:1]
    evidence: dict[str, Any] = json.loads(file.evidence) if file.evidence else {}
    # A header or pixels that no rule foresaw are refused under this code with the class of the error and nothing else.
    unforeseen = file.code is IngestCode.UNREADABLE_HEADER and set(evidence) == {"error"}
    return file, str(evidence["error"]) if unforeseen else ""


def kind_of(path: Path) -> str:
    """Return what a file calls itself, in the words of the standard."""
    try:
        uid = UID(str(pydicom.dcmread(path, stop_before_pixels=True, force=True).get("SOPClassUID", "")))
    except Exception:
        return "unreadable"
    return uid.name if uid else "no SOP class"


def tried(files: list[Path], policy: IngestPolicy) -> tuple[dict[str, int], dict[str, dict[str, int]], list[str]]:
    """Return figures, the table of kinds and codes, and a line per error that no rule foresaw."""
    figures, unforeseen = Counter[str](files=len(files), accepted=0, refused=0, ignored=0, crashes=0), []
    table: dict[str, Counter[str]] = {}
    words = {Outcome.ACCEPTED: "accepted", Outcome.QUARANTINED: "refused", Outcome.IGNORED: "ignored"}
    for path in progress_bar(files, title="ingest", unit="file", enabled=True):
        file, error = outcome_of(path, policy)
        if error:
            unforeseen.append(f"{path.name}: {error}")
        if file is None:
            figures["crashes"] += 1
            continue
        figures[words[file.outcome]] += 1
        table.setdefault(kind_of(path), Counter())["accepted" if file.code is None else file.code.value] += 1
    return dict(figures), {kind: dict(sorted(codes.items())) for kind, codes in sorted(table.items())}, unforeseen


def main() -> None:
    quiet = asks_for_json(__doc__)
    files = real_files()
    results = {name: tried(files, policy) for name, policy in POLICIES.items()}
    if not quiet:
        for name, (figures, table, unforeseen) in results.items():
            print(f"{name}: {figures}")
            for kind, codes in table.items():
                print(f"  {kind}: " + ", ".join(f"{code} {count}" for code, count in codes.items()))
            for line in unforeseen:
                print(f"  no rule foresaw {line}")
    figures, table = ({name: result[place] for name, result in results.items()} for place in (0, 1))
    print(json.dumps({"figures": figures, "table": table, "n": len(files)}))


if __name__ == "__main__":
    main()
