"""One study, from its volume to a report: segmentation, lesions, classes, maps of student and teacher, caveats."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from data_contracts import (
    AttributionAgreement,
    DataError,
    Finding,
    Lesion,
    MeasureValue,
    MedkdError,
    Ref,
    RefusedSeries,
    ReportMap,
    ReportSet,
    ReviewPanel,
    ReviewReport,
    VolumeRef,
)
from medkd.attribution._attribute import attribute
from medkd.explanation.measures_of_maps import class_perturbation, measure_value
from medkd.explanation.region import number_or_none, outside_focus, region_measures
from medkd.inference.lesions import find_lesions
from medkd.inference.predict import predict_logits
from medkd.measures.cosine_agreement import cosine_agreement
from medkd.measures.deletion import deletion
from medkd.measures.insertion import insertion
from medkd.measures.rank_agreement import rank_agreement
from medkd.models._load import load_network
from medkd.review.against_teacher import agreed_first, likeness_of, missed_by_student
from medkd.review.caveats import compute_caveats
from medkd.review.picture import render_picture
from medkd.review.render_html import render_html
from medkd.storage.stage import stage
from medkd.storage.store import Store, write_bytes
from medkd.storage.workspace import Workspace
from medkd.targets import Target, class_margin, lesion_margin
from medkd.volumes.window import window_intensity

_LOG = logging.getLogger("medkd")
MOST_LESIONS = 3
#: Components smaller than this are noise at the resolution of a slice-wise segmentation.
SMALLEST_VOXELS = 8
ROLES = ("student", "teacher")
#: Explainers of the class, asked of the classifier; and of the lesion's outline, asked of the segmenter.
CLASS_EXPLAINERS: dict[str, dict[str, int]] = {"cam": {}, "integrated_gradients": {"steps": 16}}
LESION_EXPLAINERS: dict[str, dict[str, int]] = {"grad_cam": {}}


@dataclass(frozen=True)
class _Panel:
    """The four networks of a panel, by task and role, in eval mode."""

    record: ReviewPanel
    segmentation: dict[str, nn.Module]
    classification: dict[str, nn.Module]


@dataclass(frozen=True)
class _Study:
    """A study on its way through the panel: network input [slice, 1, row, column] and masks [slice, row, column]."""

    volume: VolumeRef
    images: Tensor
    masks: dict[str, Tensor]
    reference: Tensor | None


@stage
def report_studies(workspace: Workspace, volumes: tuple[VolumeRef, ...], source: str, panel: ReviewPanel) -> ReportSet:
    """Write the record, the page and the picture of each study; a series that the models cannot read is refused, the others go on.

    Args:
        workspace: where reports go: ``reports/`` of its store.
        volumes: ingested volumes.
        source: name of the folder below the workspace's root that is their store.
        panel: the models that are asked.
    """
    networks = _Panel(
        panel,
        {"student": load_network(workspace, panel.segmentation_student), "teacher": load_network(workspace, panel.segmentation_teacher)},
        {
            "student": load_network(workspace, panel.classification_student),
            "teacher": load_network(workspace, panel.classification_teacher),
        },
    )
    store = Store(workspace.root / source)
    written, refused = [], []
    for volume in volumes:
        try:
            written.append(_write(workspace, compose_report(workspace.store, volume, store, networks)))
        except MedkdError as error:
            _LOG.warning("no report of series %s: %s: %s", volume.series_key, error.code, error)
            refused.append(RefusedSeries(series_key=volume.series_key, code=error.code, reason=str(error)))
    records, pages, pictures = zip(*written, strict=True) if written else ((), (), ())
    return ReportSet(reports=records, pages=pages, pictures=pictures, refused=tuple(refused))


def _write(workspace: Workspace, report: ReviewReport) -> tuple[Ref, Ref, Ref]:
    arrays = workspace.store.read_tensors(report.arrays)
    folder = f"reports/{report.series_key}"
    page = render_html(report, arrays).encode()
    picture = render_picture(report, arrays)
    return (
        _keep(workspace.store, f"{folder}/report.json", report.canonical_json()),
        _keep(workspace.store, f"{folder}/report.html", page),
        _keep(workspace.store, f"{folder}/picture.png", picture),
    )


def _keep(store: Store, key: str, payload: bytes) -> Ref:
    write_bytes(store.root / Path(key), payload)
    return Ref(store=store.name, key=key, sha256=hashlib.sha256(payload).hexdigest())


def compose_report(out: Store, volume: VolumeRef, source: Store, panel: _Panel) -> ReviewReport:
    """Ask the panel about one volume and compose its report; no lesion found is a report too.

    Raises:
        DataError: ``GRID_MISMATCH`` when the slices are not of the size the networks were trained on.
    """
    study = _open_study(volume, source, panel)
    marked = {role: {1: mask} for role, mask in study.masks.items()}
    components = [(*found, 1) for found in find_lesions(study.masks["student"], volume.geometry, smallest=SMALLEST_VOXELS)]
    found = agreed_first(components, marked["teacher"])
    missed = missed_by_student(marked["student"], marked["teacher"], ("background", "lesion"), volume.geometry, smallest=SMALLEST_VOXELS)
    arrays = {"volume": source.read_tensors(volume.array)["volume"].float()}
    arrays |= {f"{role}_mask": mask for role, mask in study.masks.items()}
    if study.reference is not None:
        arrays["reference_mask"] = study.reference
    findings = tuple(_finding(index, lesion, mask, study, panel, arrays) for index, (lesion, mask, _) in enumerate(found[:MOST_LESIONS], 1))
    return ReviewReport(
        patient_key=volume.patient_key,
        study_key=volume.study_key,
        series_key=volume.series_key,
        modality=volume.modality,
        unit=volume.unit,
        origin=volume.origin,
        geometry=volume.geometry,
        arrays=out.write_tensors(f"reports/{volume.series_key}/arrays.safetensors", arrays),
        window=panel.record.classification_student.task.window,
        models=panel.record.models,
        findings=findings,
        teacher_only=missed,
        caveats=compute_caveats(
            findings, volume=volume, not_shown=[lesion.volume_ml for lesion, _, _ in found[MOST_LESIONS:]], teacher_only=missed
        ),
        reference_class=volume.class_label,
        lineage={"volume sha256": volume.array.sha256, "panel": panel.record.digest()},
    )


def _open_study(volume: VolumeRef, source: Store, panel: _Panel) -> _Study:
    task = panel.record.segmentation_student.task
    if volume.geometry.shape[1:] != task.image_size:
        raise DataError(
            "GRID_MISMATCH", f"expected slices of {task.image_size} pixels for these models, the volume has {volume.geometry.shape[1:]}"
        )
    images = window_intensity(source.read_tensors(volume.array)["volume"], task.window)[:, None]
    masks = {role: (predict_logits(panel.segmentation[role], images).argmax(1) > 0).to(torch.uint8) for role in ROLES}
    reference = source.read_tensors(volume.label.array)["label"] if volume.label is not None else None
    return _Study(volume, images, masks, reference)


def _finding(index: int, lesion: Lesion, mask: Tensor, study: _Study, panel: _Panel, arrays: dict[str, Tensor]) -> Finding:
    """Ask about one lesion; its maps are added to ``arrays`` on the grid of the volume."""
    classes = panel.record.classification_student.task.classes
    key = study.images[lesion.key_slice : lesion.key_slice + 1]
    logits = {role: predict_logits(panel.classification[role], key)[0] for role in ROLES}
    answer = int(logits["student"].argmax())
    maps, volumes = _maps(index, lesion, mask, answer, study, panel)
    arrays |= volumes
    span = slice(lesion.first_slice, lesion.last_slice + 1)
    agreement = {
        name: AttributionAgreement(
            cosine=number_or_none(
                cosine_agreement(volumes[f"map/{index}/student/{name}"][None, span], volumes[f"map/{index}/teacher/{name}"][None, span])
            ),
            rank_correlation=number_or_none(
                rank_agreement(volumes[f"map/{index}/student/{name}"][None, span], volumes[f"map/{index}/teacher/{name}"][None, span])
            ),
        )
        for name in (*CLASS_EXPLAINERS, *LESION_EXPLAINERS)
    }
    likeness = likeness_of(mask, study.masks["teacher"])
    return Finding(
        lesion=lesion,
        student_probability=_probabilities(logits["student"], classes),
        teacher_probability=_probabilities(logits["teacher"], classes),
        share_in_teacher=likeness.share,
        dice_to_teacher=likeness.dice,
        dice_to_reference=None if study.reference is None else likeness_of(mask, study.reference).dice,
        maps=maps,
        agreement=agreement,
        outside=outside_focus(volumes[f"map/{index}/student/cam"], study.masks["student"], study.volume.geometry),
    )


def _maps(
    index: int, lesion: Lesion, mask: Tensor, answer: int, study: _Study, panel: _Panel
) -> tuple[tuple[ReportMap, ...], dict[str, Tensor]]:
    """Explain class and outline on the lesion's slices; the lesion's mask and the class are frozen for the whole explanation."""
    span = slice(lesion.first_slice, lesion.last_slice + 1)
    images, inside = study.images[span], mask[span]
    wanted: list[tuple[str, str, dict[str, int], Target]] = [
        ("classification", name, options, class_margin(answer)) for name, options in CLASS_EXPLAINERS.items()
    ]
    wanted += [("segmentation", name, options, lesion_margin(inside)) for name, options in LESION_EXPLAINERS.items()]
    maps, volumes = [], {}
    for task, name, options, target in wanted:
        for role in ROLES:
            network = (panel.classification if task == "classification" else panel.segmentation)[role]
            values = attribute(network, images, target, explainer=name, options=options)
            tensor = f"map/{index}/{role}/{name}"
            volumes[tensor] = torch.zeros(study.volume.geometry.shape)
            volumes[tensor][span] = values
            measures = region_measures(values, inside)
            if task == "classification":
                measures += _faithfulness(values[lesion.key_slice - span.start], network, study.images[lesion.key_slice], answer)
            maps.append(
                ReportMap(
                    role=role,
                    explainer=name,
                    target=f"{task}: {'class margin' if task == 'classification' else 'lesion margin'}",
                    tensor=tensor,
                    explanation_digest=hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest(),
                    measures=measures,
                    fails_randomisation=name in panel.record.failed_explainers,
                    failed_checks=panel.record.failed_checks.get(name, ()),
                )
            )
    return tuple(maps), volumes


def _faithfulness(values: Tensor, network: nn.Module, image: Tensor, answer: int) -> tuple[MeasureValue, ...]:
    perturbation = class_perturbation(network, image[None], torch.tensor([answer]))
    return (
        measure_value("deletion", deletion(values[None], perturbation)[0]),
        measure_value("insertion", insertion(values[None], perturbation)[0]),
    )


def _probabilities(logits: Tensor, classes: tuple[str, ...]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(classes, logits.softmax(0), strict=True)}
