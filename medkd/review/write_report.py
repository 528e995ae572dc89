"""Reports as files: record, page and picture of a study, from the artefacts of its explanations; registered beside the model."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from data_contracts import (
    Calibration,
    Caveat,
    ExplainedStudies,
    ExplainedStudy,
    ModelRef,
    Ref,
    RefusedSeries,
    Registered,
    RegistryError,
    ReportSet,
    ReviewPanel,
    ReviewReport,
    StoreError,
    TrainingFeatures,
)
from medkd.cohorts.on_first import on_first
from medkd.cohorts.study_arrays import study_arrays
from medkd.explanation.kept import SHORT, attach_study, kept_in, read_kept
from medkd.inference.nearest_cases import TrainingCases
from medkd.registry.interface import Registry
from medkd.registry.training_features import PLACE, load_training_features, read_training_cases
from medkd.registry.version_files import load_calibration, open_registry, pack_archive
from medkd.review.compose_report import compose_report
from medkd.review.page_images import images_of
from medkd.review.picture import render_picture
from medkd.review.reduce_pictures import reduced
from medkd.review.render_html import render_html
from medkd.review.shown import StudyArrays
from medkd.review.study_file import NAME as STUDY_FILE
from medkd.review.study_file import write_study_file
from medkd.storage.stage import stage
from medkd.storage.store import Store, write_bytes
from medkd.storage.workspace import Workspace
from medkd.volumes.orientation import ras_affine, save_nifti, write_nifti
from medkd.wording import require_neutral

_LOG = logging.getLogger("medkd")

RECORD, PAGE, PICTURE = "report.json", "report.html", "picture.png"


def report_of(
    folders: tuple[Path, ...],
    store: Store,
    calibrations: tuple[Calibration, ...] = (),
    training: tuple[TrainingCases, ...] = (),
    more: tuple[Caveat, ...] = (),
) -> tuple[ReviewReport, StudyArrays]:
    """Return the report of a study and its arrays, from the artefacts of its explanations, every byte verified.

    Args:
        folders: of the artefacts.
        store: that holds the study's volume.
        calibrations: of the asked versions, where they have any.
        training: features of the training cases of the asked versions, where they have any.
        more: caveats of what the report is made with.
    """
    kept = [read_kept(folder) for folder in folders]
    explanations = tuple(record for record, _ in kept)
    values, label = study_arrays(explanations[0].volume, store)
    further = tuple(
        on_first(one, explanations[0].volume, (one.modality, "the first image"), store)[0] for one in images_of(explanations)[1:]
    )
    arrays = StudyArrays(values.astype(np.float32), tuple(own for _, own in kept), label, further)
    return compose_report(explanations, arrays, calibrations, training, more), arrays


def write_report(workspace: Workspace, folder: Path, store: Path, out: Path) -> ReviewReport:
    """Write the report of a kept explanation to ``out`` and put it beside the version of the model that was asked.

    Writes ``report.html``, ``report.json``, ``picture.png``, ``study.safetensors`` (what a server shows of it), of volumes ``image.nii.gz`` and, of models that segment, ``segmentation.nii.gz``.

    Args:
        workspace: its tracking URI is the registry.
        folder: of the artefact.
        store: folder of the store that holds the study's volume.
        out: folder to write to.
    """
    registry = open_registry(workspace)
    model = read_kept(folder)[0].model
    calibration, (training, more) = load_calibration(registry, model.uri), _training_of(registry, model)
    report, arrays = report_of((folder,), Store(store), () if calibration is None else (calibration,), training, more)
    _write(report, arrays, out)
    segmentation, space = arrays.explained[0].get("segmentation/student"), report.volume.space
    if segmentation is not None and space is not None:
        save_nifti(segmentation.astype(np.uint8), ras_affine(space), out / "segmentation.nii.gz")
    else:
        (out / "segmentation.nii.gz").unlink(missing_ok=True)  # of another model's report, which this one replaces
    if space is not None:
        write_nifti(Store(store), report.volume, out / "image.nii.gz")
    else:  # NIfTI says where voxels lie in the patient: a picture lies nowhere
        (out / "image.nii.gz").unlink(missing_ok=True)
    _attach(registry, report.explanations[0].model, report, out)
    return report


def _training_of(registry: Registry, model: ModelRef) -> tuple[tuple[TrainingCases, ...], tuple[Caveat, ...]]:
    """Return the features of a version's training cases, where it has any; a report is made without those that were altered, and says so."""
    try:
        found = load_training_features(registry, model)
    except RegistryError as error:
        _LOG.warning("%s: %s", error.code, error)
        return (), (training_features_altered(model),)
    return (() if found is None else (found,)), ()


def training_features_altered(model: ModelRef) -> Caveat:
    """Return the caveat of a version whose features of training cases are gone or altered."""
    place = f"beside {model.name}, version {model.version}"
    text = f"the features of training cases {place}, are not those that were registered; no finding is compared with them."
    return Caveat(code="TRAINING_FEATURES_ALTERED", text=require_neutral(text), severity=2)


def write_all_reports(
    workspace: Workspace, explained: tuple[Path | RefusedSeries, ...], store: Path
) -> tuple[ReviewReport | RefusedSeries, ...]:
    """Write the report of each kept explanation to the folder of its study; what was refused stays so."""
    return tuple(one if isinstance(one, RefusedSeries) else write_report(workspace, one, store, one.parents[1]) for one in explained)


def _attach(registry: Registry, model: ModelRef, report: ReviewReport, out: Path) -> None:
    short = report.digest()[:SHORT]
    tags = {f"medkd.report.{short}": f"explanation {report.explanations[0].digest()[:SHORT]}"}
    registry.attach(model, {f"reports/{short}": [out / name for name in (PAGE, RECORD, PICTURE)]}, tags)


def _write(report: ReviewReport, arrays: StudyArrays, out: Path) -> Path:
    write_bytes(out / RECORD, report.canonical_json())
    drawn = reduced(arrays, report.volume)
    write_bytes(out / PICTURE, render_picture(report, drawn))
    write_study_file(out / STUDY_FILE, report, arrays)
    return write_bytes(out / PAGE, render_html(report, arrays).encode())


@stage
def report_studies(
    workspace: Workspace,
    explained: ExplainedStudies,
    source: str,
    calibrations: tuple[Calibration, ...] = (),
    training: tuple[TrainingFeatures, ...] = (),
) -> ReportSet:
    """Write record, page and picture of each study that a panel explained.

    Args:
        workspace: where reports go: ``reports/`` of its store.
        explained: the studies, artefacts in the workspace's store.
        source: folder of the store of their volumes, relative to the workspace's root.
        calibrations: of the panel's students, where they have any.
        training: of the panel's students, where they have any, the arrays in the workspace's store.
    """
    store = workspace.store_at(source)
    cases = tuple(read_training_cases(one, _verified(workspace.store, one), where=PLACE) for one in training)
    written = [_keep(workspace.store, one, store, (calibrations, cases)) for one in explained.studies]
    records, pages, pictures = zip(*written, strict=True) if written else ((), (), ())
    kept = tuple(ref for one in explained.studies for ref in one.records)
    return ReportSet(reports=records, pages=pages, pictures=pictures, explanations=kept, refused=explained.refused)


def _verified(store: Store, record: TrainingFeatures) -> Path:
    if not store.verify(record.array):
        raise StoreError("STORE_ALTERED", f"expected {record.array.key} with sha256 {record.array.sha256[:12]}, it is missing or altered")
    return store.path(record.array)


def _keep(
    store: Store, study: ExplainedStudy, volumes: Store, known: tuple[tuple[Calibration, ...], tuple[TrainingCases, ...]]
) -> tuple[Ref, Ref, Ref]:
    report, arrays = report_of(tuple(kept_in(store, ref) for ref in study.records), volumes, *known)
    folder = f"reports/{study.series_key}"
    _write(report, arrays, store.root / folder)
    return store.refer(f"{folder}/{RECORD}"), store.refer(f"{folder}/{PAGE}"), store.refer(f"{folder}/{PICTURE}")


def copy_report(workspace: Workspace, reports: ReportSet, place: int, out: Path) -> Path:
    """Copy a report of a run's panel to a folder of its own; return its page."""
    for refs, name in ((reports.reports, RECORD), (reports.pictures, PICTURE), (reports.pages, PAGE)):
        write_bytes(out / name, workspace.store.path(refs[place]).read_bytes())
    served = workspace.store.path(reports.reports[place]).with_name(STUDY_FILE)
    if served.is_file():  # no result of the run: what a server shows follows from the explanations
        write_bytes(out / STUDY_FILE, served.read_bytes())
    return out / PAGE


def register_reports(workspace: Workspace, panel: ReviewPanel, reports: ReportSet, registry: Registry | None = None) -> Registered:
    """Put reports and explanations beside the students of a panel: one archive of all pages, an archive of each explanation of a student."""
    target = registry or open_registry(workspace)
    archive = workspace.root / "bundles" / f"reports-{reports.digest()[:SHORT]}.zip"
    refs = [*reports.reports, *reports.pages]
    pack_archive(archive, {ref.key.removeprefix("reports/"): workspace.store.path(ref).read_bytes() for ref in refs})
    folders = [kept_in(workspace.store, ref) for ref in reports.explanations]
    students = (panel.segmentation.model, panel.classification.model)
    for model in students:
        target.attach(model, {"reports": archive}, {"medkd.reports": reports.digest()})
    for folder in folders:
        attach_study(target, read_kept(folder)[0].model, folder)
    return Registered(models=students)
