"""Flow: every series of a site's store that a model was not asked about is explained, reported and put on the worklist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from data_contracts import RefusedSeries, ReviewReport, WorklistEntry, load_record
from flows.orchestration import flow
from flows.report_store import refused_series, report_cases
from flows.site import Site
from flows.work import log_to_run
from medkd.dicom.case_images import CaseImages, Refused, images_of_store
from medkd.dicom.ingest_cache import MANIFEST, read_manifest
from medkd.registry.interface import resolve
from medkd.registry.version_files import open_registry, seen_series
from medkd.review.render_index import IndexRow, render_index
from medkd.review.shown import shown_in
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace


@flow
def run_champion(site: Site, tracking_uri: str, models: Sequence[str], most: int = 0) -> tuple[WorklistEntry, ...]:
    """Ask the models about what came in, and return what is new on the worklist.

    Args:
        site: with the store.
        tracking_uri: of the registry that holds the models.
        models: ``models:/NAME@champion``; an alias is resolved once, so that a run asks one version.
        most: longest list of series for each model in one run; 0 takes all.
    """
    if not (site.store / MANIFEST).is_file():
        log_to_run("nothing came in yet")
        return ()
    manifest, workspace = read_manifest(site.store), Workspace(site.root, tracking_uri)
    registry, done = open_registry(workspace), []
    for model in models:
        uri = resolve(registry, model).uri
        listed = site.worklist().series_of(uri)
        if all(one.series_key in listed for one in manifest.volumes):  # what its card says is not fetched for nothing
            log_to_run("%s was asked about everything", uri)
            continue
        cases, refused = images_of_store(manifest, seen_series(registry, uri))
        waiting = [one for one in cases if one.first.series_key not in listed]
        mistaken = {key: why for key, why in refused.items() if key not in listed}
        done += _asked(site, workspace, uri, waiting[:most] if most else waiting, mistaken)
    if done:
        _write_index(site)
    return tuple(done)


def _asked(site: Site, workspace: Workspace, uri: str, cases: Sequence[CaseImages], refused: Mapping[str, Refused]) -> list[WorklistEntry]:
    folder = site.worklist_folder / uri.removeprefix("models:/").replace("/", "-")
    # An image that is missing may still come in: such a study waits, and is on no list.
    missing = [key for key, why in refused.items() if why.code == "CHANNEL_MISSING"]
    if missing:
        log_to_run("%s waits for another image of %d studies", uri, len(missing))
    done: list[ReviewReport | RefusedSeries] = report_cases(workspace, cases, site.store, uri, folder) if cases else []
    done += refused_series({key: why for key, why in refused.items() if key not in missing})
    entries = [_entry(one, uri, folder.name) for one in done]
    if entries:
        site.add(*entries)
    return entries


def _entry(one: ReviewReport | RefusedSeries, uri: str, folder: str) -> WorklistEntry:
    now = datetime.now(UTC)
    if isinstance(one, RefusedSeries):
        return WorklistEntry(series_key=one.series_key, model=uri, outcome="refused", code=one.code, reason=one.reason, at=now)
    key = one.volume.series_key
    return WorklistEntry(
        series_key=key, model=uri, outcome="reported", page=f"{folder}/{key}/report.html", findings=len(shown_in(one)), at=now
    )


def _write_index(site: Site) -> Path:
    """Write the page of the worklist, the newest first."""
    entries = site.worklist().entries[::-1]
    pages = [(one.page, site.worklist_folder / one.page) for one in entries if one.page is not None]
    rows = [IndexRow(page, load_record(path.with_name("report.json"), ReviewReport)) for page, path in pages]
    refused = [
        RefusedSeries(series_key=one.series_key, code=one.code or "", reason=one.reason or "") for one in entries if one.page is None
    ]
    return write_bytes(site.worklist_folder / "index.html", render_index(rows, refused).encode())
