"""Flow: what a site's worklist reports becomes DICOM objects of the original studies, and goes to the archive that they came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_contracts import MedkdError, RefusedSeries, ReviewReport, SourceError, WorklistEntry, load_record
from flows.orchestration import flow, submit_all, task
from flows.site import Site
from flows.work import log_to_run
from medkd.dicom.series_table import sources_of
from medkd.explanation.artefact import SHORT
from medkd.explanation.of_registry import EXPLANATIONS
from medkd.results.write_results import publish_results
from medkd.review.write_report import RECORD


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
    peer = None
    if to is not None:
        from medkd.network.addresses import parse_peer
        from medkd.network.installed import require_network

        require_network()
        peer = parse_peer(to)
    reported = [one for one in site.worklist().entries if one.page is not None]
    unwritten = [one for one in reported if one.results is None]
    refused: list[RefusedSeries] = []
    made = submit_all(publish_entry, [(site, one) for one in unwritten], title="DICOM results")
    for entry, place in zip(unwritten, made, strict=True):
        if isinstance(place, RefusedSeries):
            log_to_run("%s: %s", place.series_key, place.code)
            refused.append(place)
        else:
            site.replace(entry.model_copy(update={"results": place.relative_to(site.root).as_posix()}))
    written = len(unwritten) - len(refused)
    if peer is None:
        return Returned(written, 0, tuple(refused))
    waiting = [one for one in site.worklist().entries if one.results is not None and one.returned_to != str(peer)]
    sent = 0
    for entry in waiting:
        failure = _send(site.root / str(entry.results), str(to))
        if failure is None:
            site.replace(entry.model_copy(update={"returned_to": str(peer)}))
            sent += 1
        else:
            refused.append(RefusedSeries(series_key=entry.series_key, code=failure[0], reason=failure[1]))
    return Returned(written, sent, tuple(refused))


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


def _send(folder: Path, to: str) -> tuple[str, str] | None:
    """Send a set; return code and reason where the archive does not have all of it in the end."""
    from medkd.network.addresses import parse_peer
    from medkd.network.send import SendRequest, send

    try:
        outcomes = send(SendRequest(folder, parse_peer(to)))
    except MedkdError as error:
        return error.code, str(error)
    failed = [one for one in outcomes if one.state == "failed"]
    return ("SEND_INCOMPLETE", f"{len(failed)} of {len(outcomes)} objects were not taken: {failed[0].reason}") if failed else None
