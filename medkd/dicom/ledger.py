"""The ledger: what became of each file. Every file has one outcome, and the worst that is known of it."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_contracts import FileOutcome, IngestCode, Outcome
from medkd.dicom.classify import IGNORED_CODES
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile

_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima", "")


@dataclass
class Ledger:
    """What became of each file so far."""

    outcomes: dict[str, FileOutcome] = field(default_factory=dict)
    refused: dict[str, tuple[FoundFile, IngestCode, dict[str, Any]]] = field(default_factory=dict)
    findings: dict[str, set[IngestCode]] = field(default_factory=dict)

    def note(self, file: FoundFile, codes: set[IngestCode] | frozenset[IngestCode] | tuple[IngestCode, ...]) -> None:
        """Remember codes that were met in a file, whatever becomes of it."""
        self.findings.setdefault(file.relative, set()).update(codes)

    def accept(self, file: FoundFile, evidence: dict[str, Any] | None = None) -> None:
        """A file went into a volume or a label; that one of its frames was refused elsewhere does not change it.

        ``evidence`` says by code what was met in a label: which structures overlap and which one wins, which one is lost.
        """
        self.refused.pop(file.relative, None)
        text = json.dumps(evidence, sort_keys=True, default=str) if evidence else ""
        self.outcomes[file.relative] = FileOutcome(path=file.relative, outcome=Outcome.ACCEPTED, evidence=text)

    def withdraw(self, files: tuple[FoundFile, ...]) -> None:
        """Take back that files were accepted."""
        for file in files:
            self.outcomes.pop(file.relative, None)

    def refuse(self, file: FoundFile, code: IngestCode, evidence: dict[str, Any] | None = None, *, ignore: bool = False) -> None:
        """A file is quarantined, or set aside where its code says that it was not meant for ingestion."""
        self.note(file, {code})
        # One enhanced object may give several volumes: one that is refused takes the file from none that was accepted.
        if file.relative in self.outcomes and self.outcomes[file.relative].outcome is Outcome.ACCEPTED:
            return
        aside = ignore or code in IGNORED_CODES
        text = json.dumps(evidence or {}, sort_keys=True, default=str)
        outcome = Outcome.IGNORED if aside else Outcome.QUARANTINED
        self.outcomes[file.relative] = FileOutcome(path=file.relative, outcome=outcome, code=code, evidence=text)
        if not aside:
            self.refused[file.relative] = (file, code, evidence or {})

    def admit(self, file: FoundFile, findings: Findings) -> bool:
        """Return whether a file has a usable header; otherwise it gets its outcome.

        Raises:
            IngestError: ``MISSING_META``, where the policy does not repair it.
        """
        if file.code is None:
            return True
        if file.code is IngestCode.MISSING_META and file.header is not None:
            findings.resolve(file.code, "expected a DICOM file header, there is none", {"what": file.evidence})
            return True
        # A text among the images was never meant to be one; a file that calls itself DICOM was.
        foreign = file.code is IngestCode.NOT_DICOM and Path(file.relative).suffix.lower() not in _DICOM_SUFFIXES
        self.refuse(file, file.code, {"what": file.evidence}, ignore=foreign)
        return False

    def merge(self, other: Ledger) -> None:
        """Take over what became of other files."""
        self.outcomes |= other.outcomes
        self.refused |= other.refused
        self.findings |= other.findings

    def without(self, files: Container[str]) -> Ledger:
        """Return what became of all files but some, named by their relative paths."""
        return Ledger(*({name: kept for name, kept in table.items() if name not in files} for table in self._tables()))

    def _tables(self) -> tuple[dict[str, Any], ...]:
        return self.outcomes, self.refused, self.findings

    def rows(self, found: Iterable[FoundFile]) -> tuple[FileOutcome, ...]:
        """Return one line per file found, in their order, with everything that was met in it."""
        return tuple(
            self.outcomes[file.relative].model_copy(update={"findings": tuple(sorted(self.findings.get(file.relative, ())))})
            for file in found
        )
