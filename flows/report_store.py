"""Reports of every series of a store: with the panel of an earlier run, or with one registered model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from data_contracts import DataError, RefusedSeries, ReviewPanel, ReviewReport, StoreManifest, load_record
from flows.orchestration import flow, submit_all, task
from flows.report import report
from medkd.dicom.ingest_cache import read_manifest
from medkd.explanation.defaults import first_findings
from medkd.explanation.of_registry import explain_all_registered
from medkd.registry.candidates import only_segmentation_model
from medkd.registry.interface import parse_uri, resolve
from medkd.registry.publish import open_registry
from medkd.review.render_index import IndexRow, render_index
from medkd.review.write_report import copy_report, write_all_reports
from medkd.storage.output import REPORTS, claim
from medkd.storage.sealed import load_sealed
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

explain_shard = task(explain_all_registered)
report_shard = task(write_all_reports)


@dataclass(frozen=True)
class StoreReports:
    """The pages that were written, the series that were refused, and the index of both."""

    pages: tuple[Path, ...]
    refused: tuple[RefusedSeries, ...]
    index: Path


@flow
def report_store(workspace: Workspace, store: Path, model_uri: str | None, out: Path | None) -> StoreReports:
    """Report every series of a store; what the models cannot read is refused, and the others go on.

    Args:
        workspace: the run whose models are asked.
        store: written by ingestion.
        model_uri: the model; None takes the run's panel, or the only segmentation model that the run registered.
        out: folder of the pages; None keeps them with the run.

    Raises:
        RegistryError: ``MODEL_CHOICE`` when it is not clear which model is meant.
        DataError: ``NO_VOLUME`` for an empty store.
        StoreError: ``PANEL_ALTERED`` when the run's panel is not what the run wrote, or as ``read_manifest``.
    """
    manifest = read_manifest(store)
    if not manifest.volumes:
        raise DataError("NO_VOLUME", f"expected a store with volumes at {store}, got none; ingest a folder that holds some")
    panel = workspace.root / "panel.json"
    if model_uri is None and panel.is_file():
        wanted = load_sealed(panel, ReviewPanel, code="PANEL_ALTERED", mend="name a model with --model")
        return _by_panel(workspace, store, manifest, wanted, None if out is None else claim(out, REPORTS))
    uri = model_uri or only_segmentation_model(open_registry(workspace))
    if parse_uri(uri).alias is not None:  # the shards ask one after another: an alias may move in between
        uri = resolve(open_registry(workspace), uri).uri
    if out is not None:
        claim(out, REPORTS)
    asked = parse_uri(uri)
    folder = out or workspace.root / "reports" / f"{asked.name}-{asked.version}"
    shards = [
        (workspace, manifest.volumes[begin::2], store, uri, first_findings(), folder) for begin in range(2) if manifest.volumes[begin::2]
    ]
    explained = submit_all(explain_shard, shards, title="explain studies")
    parts = submit_all(report_shard, [(workspace, part, store) for part in explained], title="reports")
    reports = {one.volume.series_key: one for part in parts for one in part if isinstance(one, ReviewReport)}
    refused = tuple(one for part in parts for one in part if isinstance(one, RefusedSeries))
    pages = {folder / key / "report.html": reports[key] for key in (v.series_key for v in manifest.volumes) if key in reports}
    return _indexed(folder, pages, refused)


def _by_panel(workspace: Workspace, store: Path, manifest: StoreManifest, panel: ReviewPanel, out: Path | None) -> StoreReports:
    written = report(workspace, manifest.volumes, str(store.resolve()), panel)
    own = [load_record(workspace.store.path(ref), ReviewReport) for ref in written.reports]
    if out is None:
        pages = dict(zip(map(workspace.store.path, written.pages), own, strict=True))
        return _indexed(workspace.store.root / "reports", pages, written.refused)
    placed = {copy_report(workspace, written, place, out / one.volume.series_key): one for place, one in enumerate(own)}
    return _indexed(out, placed, written.refused)


def _indexed(folder: Path, pages: dict[Path, ReviewReport], refused: tuple[RefusedSeries, ...]) -> StoreReports:
    rows = [IndexRow(Path(os.path.relpath(page, folder)).as_posix(), one) for page, one in pages.items()]
    index = write_bytes(folder / "index.html", render_index(rows, refused).encode())
    return StoreReports(tuple(pages), refused, index)
