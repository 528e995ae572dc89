"""What a site's deployments have done with each series that came in."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from data_contracts.record import MIGRATIONS, FrozenModel, Key, VersionedRecord


class WorklistEntry(FrozenModel):
    """One series and one model: a page to read, or why there is none.

    Attributes:
        series_key: pseudonym of the series.
        model: URI of the version that was asked, ``models:/NAME/VERSION``.
        outcome: ``reported`` or ``refused``.
        code: of the refusal.
        reason: of the refusal, one sentence.
        page: of the report, relative to the worklist's folder.
        findings: how many findings the report shows.
        at: when.
        results: folder of the DICOM results, relative to the site's.
        returned_to: archive that has them.
    """

    series_key: Key
    model: str
    outcome: Literal["reported", "refused"]
    code: str | None = None
    reason: str | None = None
    page: str | None = None
    findings: int = Field(default=0, ge=0)
    at: datetime
    results: str | None = None
    returned_to: str | None = None


class Worklist(VersionedRecord):
    """The worklist of a site, the newest entry last; a series is on it once per model version."""

    SCHEMA: ClassVar[str] = "worklist/2"
    entries: tuple[WorklistEntry, ...] = ()

    def series_of(self, model: str) -> frozenset[str]:
        """Return the keys of the series that are on the list for a model version."""
        return frozenset(one.series_key for one in self.entries if one.model == model)

    def add(self, *entries: WorklistEntry) -> Worklist:
        """Return the list with more entries; one of the same series and model is replaced."""
        new = {(one.series_key, one.model) for one in entries}
        kept = tuple(one for one in self.entries if (one.series_key, one.model) not in new)
        return self.model_copy(update={"entries": (*kept, *entries)})

    def replace(self, *entries: WorklistEntry) -> Worklist:
        """Return the list with entries in the places of those of the same series and model."""
        new = {(one.series_key, one.model): one for one in entries}
        return self.model_copy(update={"entries": tuple(new.get((one.series_key, one.model), one) for one in self.entries)})


MIGRATIONS["worklist/1"] = lambda earlier: {**earlier, "schema_version": "worklist/2"}
