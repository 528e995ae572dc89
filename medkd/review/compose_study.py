"""One new study and one registered model: segmentation, findings, maps of student and teacher, caveats, a report."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import (
    AttributionAgreement,
    Finding,
    Geometry,
    Lesion,
    NetworkSpec,
    ReportMap,
    ReportModel,
    ReviewReport,
    Task,
    TrainingDomain,
    VolumeRef,
)
from medkd.explanation.explain_lesions import explain_lesions, explain_region
from medkd.explanation.region import number_or_none, outside_focus, region_measures
from medkd.explanation.sanity_checks import run_sanity_checks
from medkd.explanation.subjects import LesionTrial, Method
from medkd.explanation.training_caveats import training_caveats
from medkd.inference.lesions import find_lesions
from medkd.inference.segment import PreparedStudy, on_network, prepare_study, require_segmentation, segment
from medkd.measures.cosine_agreement import cosine_agreement
from medkd.measures.rank_agreement import rank_agreement
from medkd.review.against_teacher import Component, agreed_first, likeness_of, missed_by_student
from medkd.review.caveats import compute_caveats
from medkd.review.compose_report import MOST_LESIONS
from medkd.storage.store import Store
from medkd.volumes.orientation import Grid, canonical_axes

#: Class maps and Grad-CAM of a segmentation are the same for all its lesions (they fail the test with another lesion): these are not.
EXPLAINERS = ("seg_xres_cam", "input_times_gradient")
#: Components smaller than this are noise at a millimetre.
SMALLEST_VOXELS = 20
PERCENTILES = (1.0, 99.0)
#: A study that reaches this many times as far as the largest volume of the training shows what the model has never seen.
MUCH_LARGER = 1.5


@dataclass(frozen=True)
class Panel:
    """The model that is asked, its teacher where the registry knows it, and their names for the page.

    ``spec`` builds the model's network anew: with it the explainers are tested on every study. ``domain`` is what the model was trained on.
    """

    task: Task
    networks: dict[str, nn.Module]
    models: tuple[ReportModel, ...]
    largest_extent_mm: tuple[float, float, float] | None = None
    spec: NetworkSpec | None = None
    domain: TrainingDomain | None = None


@dataclass(frozen=True)
class StudyResult:
    """A composed report with its arrays, and the segmentation on the study's voxels, uint8 [slice, row, column]."""

    report: ReviewReport
    arrays: dict[str, Tensor]
    segmentation: Tensor


def compose_study(volume: VolumeRef, source: Store, out: Store, panel: Panel) -> StudyResult:
    """Ask a panel about one volume. No finding is an answer.

    Args:
        volume: ingested volume.
        source: store that holds its voxels.
        out: store that the report's arrays go to, under ``arrays.safetensors``.
        panel: networks of one segmentation task.
    """
    require_segmentation(panel.task)
    values = source.read_tensors(volume.array)["volume"]
    grid = Grid(volume.geometry.shape, np.asarray(volume.geometry.affine_lps_mm))
    study = prepare_study(values, grid, panel.task)
    turned = canonical_axes(grid)[1]
    answers = {role: segment(network, study) for role, network in panel.networks.items()}
    arrays = {"volume": values.float(), **{f"{role}_mask": (answer > 0).to(torch.uint8) for role, answer in answers.items()}}
    marked = {role: {index: answer == index for index in range(1, len(panel.task.classes))} for role, answer in answers.items()}
    found = agreed_first(_components(answers["student"], volume, panel.task), marked.get("teacher", {}))
    missed = missed_by_student(marked["student"], marked.get("teacher", {}), panel.task.classes, volume.geometry, smallest=SMALLEST_VOXELS)
    findings: list[Finding] = []
    failed = _failed(found[0], study, panel) if found else {}
    for number, (lesion, region, index) in enumerate(found[:MOST_LESIONS], 1):
        maps = _maps(number, region, index, study, panel)
        arrays |= maps
        finding = _finding(number, lesion, region, index, answers, maps=maps, geometry=volume.geometry)
        tested = tuple(one.model_copy(update={"failed_checks": failed.get(one.explainer, ())}) for one in finding.maps)
        findings.append(finding.model_copy(update={"maps": tested}))
    low, high = (float(v) for v in np.percentile(values.float().numpy(), PERCENTILES))
    report = ReviewReport(
        patient_key=volume.patient_key,
        study_key=volume.study_key,
        series_key=volume.series_key,
        modality=volume.modality,
        unit=volume.unit,
        origin=volume.origin,
        geometry=volume.geometry,
        arrays=out.write_tensors("arrays.safetensors", arrays),
        window=(low, max(high, low + 1.0)) if panel.task.intensity == "standardised" else panel.task.window,
        models=panel.models,
        findings=tuple(findings),
        teacher_only=missed,
        caveats=compute_caveats(
            tuple(findings),
            mass="positive",
            volume=volume,
            too_large=_too_large(study, panel),
            outside=training_caveats(volume, panel.domain, turned),
            not_shown=[lesion.volume_ml for lesion, _, _ in found[MOST_LESIONS:]],
            teacher_only=missed,
        ),
        mass="positive",
        lineage={"volume sha256": volume.array.sha256, "task": panel.task.digest()},
    )
    return StudyResult(report, arrays, answers["student"])


def _failed(first: Component, study: PreparedStudy, panel: Panel) -> dict[str, tuple[str, ...]]:
    """Return the tests that each explainer fails on the asked model, tried on its first finding."""
    if panel.spec is None:
        return {}
    _, region, index = first
    network, inside = panel.networks["student"], on_network(study, region[None])
    found: dict[str, tuple[str, ...]] = {}
    for explainer in EXPLAINERS:
        maps = explain_lesions(network, study, inside, [index], explainer=explainer)
        trial = LesionTrial(network, study, inside[0], index, maps, Method(explainer, {}))
        sanity_report = run_sanity_checks(trial, network, panel.spec)
        found[explainer] = tuple(check.name for check in sanity_report.checks if check.passed is False)
    return found


def _too_large(study: PreparedStudy, panel: Panel) -> tuple[float, float, float] | None:
    """Return a study's extent in mm where it reaches much further than any volume of the training did, None otherwise."""
    if study.alignment is None or panel.largest_extent_mm is None:
        return None
    slices, rows, columns = np.multiply(study.alignment.turned.shape, study.alignment.turned.spacing_mm).tolist()
    larger = max(own / known for own, known in zip((slices, rows, columns), panel.largest_extent_mm, strict=True))
    return (slices, rows, columns) if larger > MUCH_LARGER else None


def _components(answer: Tensor, volume: VolumeRef, task: Task) -> list[Component]:
    """Return the components of every foreground class with their own masks and class index."""
    return [
        (lesion, region, index)
        for index, name in enumerate(task.classes[1:], 1)
        for lesion, region in find_lesions(answer == index, volume.geometry, class_name=name, smallest=SMALLEST_VOXELS)
    ]


def _maps(number: int, region: Tensor, index: int, study: PreparedStudy, panel: Panel) -> dict[str, Tensor]:
    return {
        f"map/{number}/{role}/{explainer}": explain_region(network, study, region, index, explainer=explainer)
        for explainer in EXPLAINERS
        for role, network in panel.networks.items()
    }


def _finding(
    number: int, lesion: Lesion, region: Tensor, index: int, answers: dict[str, Tensor], *, maps: dict[str, Tensor], geometry: Geometry
) -> Finding:
    shown = [
        ReportMap(
            role=role,
            explainer=explainer,
            target=f"segmentation: margin of {lesion.class_name}",
            tensor=f"map/{number}/{role}/{explainer}",
            explanation_digest=hashlib.sha256(maps[f"map/{number}/{role}/{explainer}"].contiguous().numpy().tobytes()).hexdigest(),
            measures=region_measures(maps[f"map/{number}/{role}/{explainer}"].clamp_min(0), region),
        )
        for explainer in EXPLAINERS
        for role in answers
    ]
    agreement = {}
    likeness = likeness_of(region, answers["teacher"] == index) if "teacher" in answers else None
    if "teacher" in answers:
        for explainer in EXPLAINERS:
            student_map, teacher_map = (maps[f"map/{number}/{role}/{explainer}"][None] for role in ("student", "teacher"))
            agreement[explainer] = AttributionAgreement(
                cosine=number_or_none(cosine_agreement(student_map, teacher_map)),
                rank_correlation=number_or_none(rank_agreement(student_map, teacher_map)),
            )
    return Finding(
        lesion=lesion,
        student_probability={},
        share_in_teacher=None if likeness is None else likeness.share,
        dice_to_teacher=None if likeness is None else likeness.dice,
        maps=tuple(shown),
        agreement=agreement,
        outside=outside_focus(
            maps[f"map/{number}/student/{EXPLAINERS[0]}"].clamp_min(0), answers["student"], geometry, explainer=EXPLAINERS[0]
        ),
    )
