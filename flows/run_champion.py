"""Flow: every series of a site's store that a model was not asked about is explained, reported and put on the worklist."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from data_contracts import RefusedSeries, ReviewReport, VolumeRef, WorklistEntry, load_record
from flows.orchestration import flow, submit_all
from flows.report_store import explain_shard, report_shard
from flows.site import Site
from flows.work import log_to_run
from medkd.dicom.ingest_cache import MANIFEST, read_manifest
from medkd.explanation.defaults import first_findings
from medkd.registry.interface import resolve
from medkd.registry.publish import open_registry
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
    volumes, workspace = read_manifest(site.store).volumes, Workspace(site.root, tracking_uri)
    registry, done = open_registry(workspace), []
    for model in models:
        uri = resolve(registry, model).uri
        listed = site.worklist().series_of(uri)
        waiting = [one for one in volumes if one.series_key not in listed]
        waiting = waiting[:most] if most else waiting
        if not waiting:
            log_to_run("%s was asked about everything", uri)
            continue
        done += _asked(site, workspace, uri, waiting)
    if done:
        _write_index(site)
    return tuple(done)


def _asked(site: Site, workspace: Workspace, uri: str, volumes: Sequence[VolumeRef]) -> list[WorklistEntry]:
    folder = site.worklist_folder / uri.removeprefix("models:/").replace("/", "-")
    shards = [(workspace, tuple(volumes[begin::2]), site.store, uri, first_findings(), folder) for begin in range(2) if volumes[begin::2]]
    explained = submit_all(explain_shard, shards, title="explain studies")
    parts = submit_all(report_shard, [(workspace, part, site.store) for part in explained], title="reports")
    entries = [_entry(one, uri, folder.name) for part in parts for one in part]
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
