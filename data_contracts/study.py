"""What ingestion found: one outcome per file, one record per series, one report per source."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from data_contracts.errors import IngestCode
from data_contracts.record import Finite, FrozenModel, Key, Ref, VersionedRecord

#: Number, direction (three numbers) or defined word.
Coordinate = Finite | tuple[Finite, Finite, Finite] | str


class Outcome(StrEnum):
    """What became of a file. Every file found has exactly one."""

    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    IGNORED = "ignored"


class FileOutcome(FrozenModel):
    """One file of the source: its path relative to the source, what became of it, and the code when it was not accepted.

    ``findings`` are all codes that were met in it, those included that were accepted or repaired.
    """

    path: str
    outcome: Outcome
    code: IngestCode | None = None
    evidence: str = ""
    findings: tuple[IngestCode, ...] = ()

    def model_post_init(self, context: Any) -> None:
        """A file that was not accepted needs its reason."""
        # Both ways: a refusal without a reason and a reason without a refusal are the same mistake.
        if (self.code is None) != (self.outcome is Outcome.ACCEPTED):
            raise ValueError(f"expected a code exactly for files that were not accepted, got {self.outcome} with {self.code}")


class SeriesRecord(VersionedRecord):
    """One de-identified series: pseudonymous keys, modality, and facts that are safe to store.

    ``acquisition`` says in words how it was acquired, from codes, numbers and a closed list of words. ``coordinates`` say what tells the volume
    from the others of its series: DICOM keyword → number (in the attribute's unit), direction or defined word; of a time of day ``TimePoint``,
    its place among the others, of what may not be said ``Part``. Empty where the series is one volume.
    """

    SCHEMA: ClassVar[str] = "series/1"
    patient_key: Key
    study_key: Key
    series_key: Key
    frame_of_reference_key: Key | None
    modality: str
    slices: int = Field(ge=1)
    origin: str = "dicom"
    volume_digest: str | None = None
    flags: tuple[IngestCode, ...] = ()
    sex: str = ""
    age_years: int | None = None
    acquisition: str = ""
    # Left out where it is empty: records of series that are one volume stay, byte for byte, those of earlier versions.
    coordinates: dict[str, Coordinate] = Field(default_factory=dict, exclude_if=lambda found: not found)


class IngestedSeries(FrozenModel):
    """A line of the ingest report: where the volume lies, how well its geometry is verified, and words that tell it from others.

    ``residual_mm`` is None of a picture, which has no geometry to be verified. ``coordinates`` are those of :class:`SeriesRecord`.
    """

    volume: str
    first_file: str
    residual_mm: Finite | None
    shape: tuple[int, ...]
    flags: tuple[IngestCode, ...] = ()
    synthetic_slices: int = 0
    picture: str = ""
    series_key: str = ""
    words: str = ""
    coordinates: dict[str, Coordinate] = Field(default_factory=dict, exclude_if=lambda found: not found)


class IngestReport(VersionedRecord):
    """The ledger of one ingestion: found = accepted + quarantined + ignored, file by file."""

    SCHEMA: ClassVar[str] = "ingest_report/1"
    files: tuple[FileOutcome, ...]
    series: tuple[IngestedSeries, ...]
    manifest: Ref | None = None
    decoded_files: int = Field(default=0, ge=0, json_schema_extra={"measured": True})

    def count(self, outcome: Outcome) -> int:
        """Return how many files have this outcome."""
        return sum(1 for file in self.files if file.outcome is outcome)

    def codes(self) -> dict[str, int]:
        """Return how often each code occurs, most frequent first."""
        counts: dict[str, int] = {}
        for file in self.files:
            if file.code is not None:
                counts[file.code.value] = counts.get(file.code.value, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def summary(self) -> dict[str, Any]:
        """Return the machine-readable summary that ``medkd ingest --json`` ends with."""
        return {
            "ingest": {
                "found": len(self.files),
                "accepted": self.count(Outcome.ACCEPTED),
                "quarantined": self.count(Outcome.QUARANTINED),
                "ignored": self.count(Outcome.IGNORED),
            },
            "codes": self.codes(),
            "decoded_files": self.decoded_files,
            # Whoever reads this finds the same fields in every line.
            "series": [{"coordinates": {}, **series.model_dump(mode="json")} for series in self.series],
            "files": [
                {
                    "path": f.path,
                    "outcome": f.outcome.value,
                    "code": f.code.value if f.code else None,
                    "findings": [code.value for code in f.findings],
                }
                for f in self.files
            ],
        }
