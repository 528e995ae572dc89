"""Write what a registered model says of one study: report, page, picture, and the segmentation in patient space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from data_contracts import MedkdError, ModelRef, RefusedSeries, ReportModel, ReviewReport, VolumeRef
from medkd.inference.segment import require_segmentation
from medkd.registry.publish import load_registered, open_registry
from medkd.review.compose_study import Panel, compose_study
from medkd.review.picture import render_picture
from medkd.review.render_html import render_html
from medkd.storage.store import Store, write_bytes
from medkd.storage.workspace import Workspace
from medkd.volumes.orientation import ras_affine, save_nifti, write_nifti


def write_study(workspace: Workspace, volume: VolumeRef, store: Path, model_uri: str, out: Path) -> ReviewReport:
    """Write ``report.html``, ``report.json``, ``picture.png``, ``segmentation.nii.gz`` and ``image.nii.gz`` below ``out``.

    The teacher is asked too where the model's lineage names one of the same registry.

    Args:
        workspace: its tracking URI is the registry.
        volume: ingested volume.
        store: folder of its store.
        model_uri: ``models:/NAME/VERSION``.
        out: folder to write to.
    """
    return _write(volume, Store(store), load_panel(workspace, model_uri), out)


def write_studies(
    workspace: Workspace, volumes: tuple[VolumeRef, ...], store: Path, model_uri: str, out: Path
) -> tuple[ReviewReport | RefusedSeries, ...]:
    """Write what a model says of each volume to a folder per series; what it cannot read is refused, and the others go on.

    Raises:
        DataError: ``MODEL_TASK`` for a model that does not segment: it can read none of them.
    """
    source, panel = Store(store), load_panel(workspace, model_uri)
    require_segmentation(panel.task)
    done: list[ReviewReport | RefusedSeries] = []
    for volume in volumes:
        try:
            done.append(_write(volume, source, panel, out / volume.series_key))
        except MedkdError as error:
            done.append(RefusedSeries(series_key=volume.series_key, code=error.code, reason=str(error)))
    return tuple(done)


def write_panel_report(workspace: Workspace, report: ReviewReport, out: Path) -> Path:
    """Write a report of a run's panel to a folder of its own, with its arrays; return its page."""
    arrays = workspace.store.read_tensors(report.arrays)
    placed = report.model_copy(update={"arrays": Store(out, "study").write_tensors("arrays.safetensors", arrays)})
    return _write_page(placed, arrays, out)


def _write_page(report: ReviewReport, arrays: Mapping[str, Tensor], out: Path) -> Path:
    write_bytes(out / "report.json", report.canonical_json())
    write_bytes(out / "picture.png", render_picture(report, arrays))
    return write_bytes(out / "report.html", render_html(report, arrays).encode())


def _write(volume: VolumeRef, source: Store, panel: Panel, out: Path) -> ReviewReport:
    result = compose_study(volume, source, Store(out, "study"), panel)
    _write_page(result.report, result.arrays, out)
    save_nifti(result.segmentation.numpy().astype(np.uint8), ras_affine(volume.geometry), out / "segmentation.nii.gz")
    write_nifti(source, volume, out / "image.nii.gz")
    return result.report


def load_panel(workspace: Workspace, model_uri: str) -> Panel:
    """Return a registered model, every byte verified, with its teacher where there is one."""
    registry = open_registry(workspace)
    model, checkpoint, network = load_registered(registry, model_uri)
    networks, models = {"student": network}, [_named("student", model, checkpoint.parameters)]
    if model.teacher is not None:
        teacher_network, its_checkpoint, its_network = load_registered(registry, model.teacher.uri)
        networks["teacher"] = its_network
        models.append(_named("teacher", teacher_network, its_checkpoint.parameters))
    return Panel(checkpoint.task, networks, tuple(models), checkpoint.largest_extent_mm, checkpoint.network, checkpoint.domain)


def _named(role: Literal["teacher", "student"], model: ModelRef, parameters: int) -> ReportModel:
    return ReportModel(role=role, name=model.name, version=model.version, manifest_digest=model.manifest_digest, parameters=parameters)
