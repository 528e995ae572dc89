"""Reports of every series of a store: with the panel of an earlier run, or with one registered model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_contracts import DataError, RefusedSeries, ReviewPanel, ReviewReport, StoreManifest, load_record
from flows.orchestration import flow, submit_all, task
from flows.report import report
from medkd.dicom.case_images import CaseImages, Refused, require_images_of_store
from medkd.dicom.ingest_cache import read_manifest
from medkd.explanation.defaults import first_findings
from medkd.explanation.of_registry import explain_all_registered
from medkd.registry.candidates import only_segmentation_model
from medkd.registry.interface import parse_uri, resolve
from medkd.registry.version_files import open_registry, seen_series
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
    """Report every series of a store, or of a model that sees several images every study; what the models cannot read is refused, and the others go on.

    Args:
        workspace: the run whose models are asked.
        store: written by ingestion.
        model_uri: the model; None takes the run's panel, or the only segmentation model that the run registered.
        out: folder of the pages; None keeps them with the run.

    Raises:
        RegistryError: ``MODEL_CHOICE`` when it is not clear which model is meant.
        DataError: ``NO_VOLUME`` for an empty store; of a model of several images ``CHANNEL_MISSING`` for one without any of them, ``TASK_INPUTS``
            where its card does not say which volume is which.
        StoreError: ``PANEL_ALTERED`` when the run's panel is not what the run wrote, or as ``read_manifest``.
    """
    manifest = read_manifest(store)
    if not manifest.volumes:
        raise DataError("NO_VOLUME", f"expected a store with volumes at {store}, got none; ingest a folder that holds some")
    panel = workspace.root / "panel.json"
    if model_uri is None and panel.is_file():
        wanted = load_sealed(panel, ReviewPanel, code="PANEL_ALTERED", mend="name a model with --model")
        return _by_panel(workspace, store, manifest, wanted, None if out is None else claim(out, REPORTS))
    return _by_model(workspace, store, manifest, model_uri or only_segmentation_model(open_registry(workspace)), out)


def _by_model(workspace: Workspace, store: Path, manifest: StoreManifest, uri: str, out: Path | None) -> StoreReports:
    registry = open_registry(workspace)
    if parse_uri(uri).alias is not None:  # the shards ask one after another: an alias may move in between
        uri = resolve(registry, uri).uri
    cases, mistaken = require_images_of_store(manifest, seen_series(registry, uri))
    asked = parse_uri(uri)
    folder = workspace.root / "reports" / f"{asked.name}-{asked.version}" if out is None else claim(out, REPORTS)
    done = report_cases(workspace, cases, store, uri, folder)
    reports = {one.volume.series_key: one for one in done if isinstance(one, ReviewReport)}
    refused = (*refused_series(mistaken), *(one for one in done if isinstance(one, RefusedSeries)))
    pages = {folder / key / "report.html": reports[key] for key in (v.series_key for v in manifest.volumes) if key in reports}
    return _indexed(folder, pages, refused)


def report_cases(
    workspace: Workspace, cases: Sequence[CaseImages], store: Path, uri: str, folder: Path
) -> list[ReviewReport | RefusedSeries]:
    """Explain and report what one version is asked about, in two tasks, each case to a folder of its first series."""
    studies = tuple(case.volumes for case in cases)
    shards = [(workspace, studies[begin::2], store, uri, first_findings(), folder) for begin in range(2) if studies[begin::2]]
    explained = submit_all(explain_shard, shards, title="explain studies")
    return [one for part in submit_all(report_shard, [(workspace, part, store) for part in explained], title="reports") for one in part]


def refused_series(why: Mapping[str, Refused]) -> tuple[RefusedSeries, ...]:
    """Return why volumes are no case, by the key of a series."""
    return tuple(RefusedSeries(series_key=key, code=one.code, reason=one.what) for key, one in why.items())


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
