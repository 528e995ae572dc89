"""Flow: what a site's worklist got lately beside the reference of the model that was asked; whoever keeps it running is told of drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_contracts import DriftReport, ModelRef, ProfiledStudy, WorklistEntry
from flows.notify import notify
from flows.orchestration import flow, submit_all, task
from flows.prefect_artifacts import show_drift
from flows.site import Site
from flows.work import log_to_run
from medkd.drift.compare_window import DriftSettings
from medkd.drift.draw_drift import draw_drift
from medkd.drift.drift_text import drift_markdown, report_sentence, waiting_text, window_sentence
from medkd.drift.follow_windows import DatedStudy, continues, follow_windows, not_compared
from medkd.drift.profile_explained import kept_profile, profile_explained
from medkd.drift.reference import load_reference
from medkd.registry.interface import resolve
from medkd.registry.publish import open_registry
from medkd.storage.sealed import load_sealed, write_sealed
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

profile_shard = task(profile_explained)


@dataclass(frozen=True)
class ModelDrift:
    """What was found of one model.

    Attributes:
        report: all windows so far; None where the first one is not complete.
        new: how many windows were compared in this run.
        said: the newest news in a sentence.
    """

    model: str
    report: DriftReport | None
    new: int
    said: str


@flow
def drift(site: Site, tracking_uri: str, models: Sequence[str], settings: DriftSettings) -> tuple[ModelDrift, ...]:
    """Compare every complete window of the worklist that was not compared yet, and tell of drift.

    Args:
        site: with store and worklist.
        tracking_uri: of the registry that holds the models and their references.
        models: ``models:/NAME@champion``; an alias is resolved once.
        settings: alarm rate, studies of a window.

    Raises:
        RegistryError: ``NO_DRIFT_REFERENCE``, ``DRIFT_REFERENCE_ALTERED``.
        DataError: ``DRIFT_REFERENCE_SMALL``.
    """
    workspace, found = Workspace(site.root, tracking_uri), []
    registry = open_registry(workspace)
    for name in models:
        one = _drift_of(site, workspace, resolve(registry, name), settings)
        log_to_run("%s: %s", one.model, one.said)
        found.append(one)
    return tuple(found)


def _drift_of(site: Site, workspace: Workspace, model: ModelRef, settings: DriftSettings) -> ModelDrift:
    entries = reported(site, model.uri)
    folder = drift_folder(site, model.uri)
    reference = load_reference(open_registry(workspace), model)
    kept = read_report(site, model.uri)
    before = kept if continues(kept, reference, settings) else None
    waiting = not_compared([one.at for one in entries], before)
    if len(waiting) < settings.window_studies:
        said = waiting_text(len(waiting), settings.window_studies)
        return ModelDrift(model.uri, before, 0, said if before is None else f"{said}; before: {report_sentence(before)}")
    profiles = _profiles(site, workspace, model, [entries[place] for place in waiting])
    studies = [DatedStudy(entries[place].at, one.patient_key, one.profile) for place, one in zip(waiting, profiles, strict=True)]
    report = follow_windows(reference, studies, settings, before)
    write_report(folder, report)
    new = len(report.windows) - (0 if before is None else len(before.windows))
    _tell(report, new)
    return ModelDrift(model.uri, report, new, report_sentence(report))


def reported(site: Site, uri: str) -> list[WorklistEntry]:
    """Return what a version was asked about and answered, the oldest first."""
    return sorted((one for one in site.worklist().entries if one.model == uri and one.page is not None), key=lambda one: one.at)


def drift_folder(site: Site, uri: str) -> Path:
    """Return where the drift report of a version lies."""
    return site.root / "drift" / uri.removeprefix("models:/").replace("/", "-")


def read_report(site: Site, uri: str) -> DriftReport | None:
    """Return the report of a version so far; None where there is none.

    Raises:
        StoreError: ``DRIFT_REPORT_ALTERED``.
    """
    path = drift_folder(site, uri) / "report.json"
    if not path.is_file():
        return None
    return load_sealed(path, DriftReport, code="DRIFT_REPORT_ALTERED", mend="remove it to compare all windows again")


def write_report(folder: Path, report: DriftReport) -> None:
    """Write a report: record, text, picture."""
    write_bytes(folder / "report.md", drift_markdown(report).encode())
    write_bytes(folder / "drift.png", draw_drift(report))
    write_sealed(report, folder / "report.json")


def _profiles(site: Site, workspace: Workspace, model: ModelRef, entries: Sequence[WorklistEntry]) -> list[ProfiledStudy]:
    out = drift_folder(site, model.uri) / "profiles"
    kept = {one.series_key: kept_profile(out, one.series_key, model.weights_digest) for one in entries}
    missing = [(one.series_key, (site.worklist_folder / str(one.page)).parent) for one in entries if kept[one.series_key] is None]
    shards = [(workspace, site.store, model.uri, tuple(missing[begin::2]), out) for begin in range(2) if missing[begin::2]]
    made = submit_all(profile_shard, shards, title="profile studies")
    known = {one.series_key: one for one in (*(one for one in kept.values() if one), *(one for part in made for one in part))}
    return [known[one.series_key] for one in entries]


def _tell(report: DriftReport, new: int) -> None:
    """Show a report in Prefect, and tell whoever is named of every new window with drift."""
    show_drift(report)
    for window in report.windows[len(report.windows) - new :]:
        if window.alarm:
            notify({"flow": "drift", "state": "Drift", "model": report.model, "message": window_sentence(window, report.alarm_rate)})
