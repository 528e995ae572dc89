"""Flow: what a site's worklist reports becomes DICOM objects of the original studies, and goes to the archive that they came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_contracts import MedkdError, RefusedSeries, ResultSet, ReviewReport, SourceError, WorklistEntry, load_record
from flows.orchestration import flow, submit_all, task
from flows.site import Site
from flows.work import log_to_run
from medkd.dicom.series_table import sources_of
from medkd.explanation.kept import SHORT
from medkd.explanation.of_registry import EXPLANATIONS
from medkd.results.write_results import RECORD as SET_RECORD
from medkd.results.write_results import publish_results
from medkd.review.write_report import RECORD

if TYPE_CHECKING:
    from medkd.network.addresses import DimsePeer, WebPeer


@dataclass(frozen=True)
class Returned:
    """What became of the reports that had no results yet, or whose results an archive did not have.

    Attributes:
        written: how many sets were published.
        sent: how many sets the archive has now.
        refused: series of which nothing could be published or sent, with the reason; they are tried again.
    """

    written: int = 0
    sent: int = 0
    refused: tuple[RefusedSeries, ...] = ()


@flow
def return_results(site: Site, to: str | None) -> Returned:
    """Publish the DICOM results of every report of the worklist that has none, from the images that it was made of, and send what is missing.

    Args:
        site: with store and worklist.
        to: archive, as ``medkd send --to`` takes it; None sends nothing.

    Raises:
        NetworkError: ``NETWORK_URI`` for a mistyped archive.
    """
    archive = None if to is None else _archive(to)
    unwritten = [one for one in site.worklist().entries if one.page is not None and one.results is None]
    made = submit_all(publish_entry, [(site, one) for one in unwritten], title="DICOM results")
    refused = [one for one in made if isinstance(one, RefusedSeries)]
    for entry, place in zip(unwritten, made, strict=True):
        if isinstance(place, RefusedSeries):
            log_to_run("%s: %s", place.series_key, place.code)
        else:
            site.replace(entry.model_copy(update={"results": place.relative_to(site.root).as_posix()}))
    written = len(unwritten) - len(refused)
    if archive is None:
        return Returned(written, 0, tuple(refused))
    sent, failed = _send_missing(site, archive)
    return Returned(written, sent, (*refused, *failed))


@task
def publish_entry(site: Site, entry: WorklistEntry) -> Path | RefusedSeries:
    """Publish the results of one report; what cannot be is a result too, so that the others go on."""
    try:
        folder = (site.worklist_folder / str(entry.page)).parent
        explained = load_record(folder / RECORD, ReviewReport).explanations[0]
        source = sources_of(site.store).get(entry.series_key)
        if source is None or not source.exists():
            raise SourceError("SOURCE_MISSING", "expected the images that were reported where they were ingested from, they are not there")
        return publish_results(folder / EXPLANATIONS / explained.digest()[:SHORT], site.store, source, site.results_folder)
    except MedkdError as error:
        return RefusedSeries(series_key=entry.series_key, code=error.code, reason=str(error))


def _archive(to: str) -> DimsePeer | WebPeer:
    from medkd.network.addresses import parse_peer
    from medkd.network.installed import require_network

    require_network()
    return parse_peer(to)


def _send_missing(site: Site, archive: DimsePeer | WebPeer) -> tuple[int, list[RefusedSeries]]:
    """Send the sets that an archive does not have; return how many it has now, and why others are not there."""
    sent, failed = 0, []
    for entry in site.worklist().entries:
        if entry.results is None or entry.returned_to == str(archive):
            continue
        failure = _send(site.root / entry.results, archive)
        if failure is None:
            site.replace(entry.model_copy(update={"returned_to": str(archive)}))
            sent += 1
        else:
            failed.append(RefusedSeries(series_key=entry.series_key, code=failure[0], reason=failure[1]))
    return sent, failed


def _send(folder: Path, archive: DimsePeer | WebPeer) -> tuple[str, str] | None:
    """Send a set; return code and reason where the archive does not have what it says in the end."""
    from medkd.network.send import SendRequest, send

    try:
        outcomes = send(SendRequest(folder, archive))
    except MedkdError as error:
        return error.code, str(error)
    # Archives of before 2024 do not take label maps, which say what the binary segmentation beside them says.
    spared = {one.file for one in load_record(folder / SET_RECORD, ResultSet).objects if one.kind == "labelmap"}
    failed = [one for one in outcomes if one.state == "failed" and one.file not in spared]
    return ("SEND_INCOMPLETE", f"{len(failed)} of {len(outcomes)} objects were not taken: {failed[0].reason}") if failed else None
