"""Write what a registered model says of one study: report, page, picture, and the segmentation in patient space."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from data_contracts import ModelRef, ReportModel, ReviewReport, VolumeRef
from medkd.registry.publish import load_registered, open_registry
from medkd.review.compose_study import Panel, compose_study
from medkd.review.picture import render_picture
from medkd.review.render_html import render_html
from medkd.volumes.orientation import ras_affine, save_nifti, write_nifti
from medkd.volumes.store import Store, write_bytes
from medkd.workspace import Workspace


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
    source, panel = Store(store), load_panel(workspace, model_uri)
    result = compose_study(volume, source, Store(out, "study"), panel)
    write_bytes(out / "report.json", result.report.canonical_json())
    write_bytes(out / "report.html", render_html(result.report, result.arrays).encode())
    write_bytes(out / "picture.png", render_picture(result.report, result.arrays))
    save_nifti(result.segmentation.numpy().astype(np.uint8), ras_affine(volume.geometry), out / "segmentation.nii.gz")
    write_nifti(source, volume, out / "image.nii.gz")
    return result.report


def load_panel(workspace: Workspace, model_uri: str) -> Panel:
    """Return a registered model, every byte verified, with its teacher where there is one."""
    registry = open_registry(workspace)
    model, checkpoint, network = load_registered(registry, model_uri)
    networks, models = {"student": network}, [_named("student", model, checkpoint.parameters)]
    if model.teacher is not None:
        name, _, version = model.teacher.partition("@")[0].rpartition("/")
        guide, its_checkpoint, its_network = load_registered(registry, f"models:/{name}/{version}")
        networks["teacher"] = its_network
        models.append(_named("teacher", guide, its_checkpoint.parameters))
    return Panel(checkpoint.task, networks, tuple(models), checkpoint.largest_extent_mm, checkpoint.network)


def _named(role: Literal["teacher", "student"], model: ModelRef, parameters: int) -> ReportModel:
    return ReportModel(role=role, name=model.name, version=model.version, manifest_digest=model.manifest_digest, parameters=parameters)
