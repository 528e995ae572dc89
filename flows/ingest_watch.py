"""Flow: what arrived in a watched folder is ingested, once it is complete."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_contracts import IngestError, IngestPolicy, IngestReport, SourceError
from flows.confidential_call import named
from flows.inbox import Arrival
from flows.ingest import ingest
from flows.orchestration import flow
from flows.site import Site
from flows.work import log_to_run
from medkd.dicom.ingest import IngestRequest
from medkd.dicom.ingest_cache import MANIFEST, read_manifest


@dataclass(frozen=True)
class Taken:
    """What a look at the inbox came to.

    Attributes:
        arrivals: how many complete entries were new.
        accepted: keys of the series that the store has more than before.
        refused: codes of entries that could not be ingested at all; they are tried again when they change.
    """

    arrivals: int
    accepted: tuple[str, ...]
    refused: tuple[str, ...] = ()


@flow
def ingest_watch(site: Site, inbox: Path, settle_s: float, policy: IngestPolicy) -> Taken:
    """Ingest every complete entry that was not taken yet; the rest waits for the next look."""
    watched = site.inbox(inbox, settle_s)
    arrivals = watched.arrivals()
    if not arrivals:
        log_to_run("nothing new in the inbox")
        return Taken(0, ())
    before, refused = _series_of(site.store), []
    for number, arrival in enumerate(arrivals, start=1):
        try:
            report = _ingested(site, arrival, policy, number)
            log_to_run("entry %d of %d: %s", number, len(arrivals), report.summary()["ingest"])
        except (SourceError, IngestError) as error:
            # An entry that is none must not keep the others waiting. A store that cannot be written to is no fault of the entry, which stays.
            refused.append(error.code)
            log_to_run("entry %d of %d refused: %s", number, len(arrivals), named(error))
        watched.take(arrival)
    return Taken(len(arrivals), tuple(sorted(_series_of(site.store) - before)), tuple(refused))


def _ingested(site: Site, arrival: Arrival, policy: IngestPolicy, number: int) -> IngestReport:
    # A number, and no name: entries are called after people.
    return ingest(IngestRequest(arrival.path, site.store, policy), f"entry-{number}")


def _series_of(store: Path) -> set[str]:
    return {one.series_key for one in read_manifest(store).volumes} if (store / MANIFEST).is_file() else set()
