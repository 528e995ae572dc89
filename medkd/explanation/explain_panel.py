"""Studies explained by a panel: first by its segmenter, then by its classifier, whose maps are judged by what the segmenter marks."""

from __future__ import annotations

import logging
from dataclasses import replace

from data_contracts import (
    ExplainedStudies,
    ExplainedStudy,
    ExplanationRequest,
    MedkdError,
    PanelModel,
    RefusedSeries,
    ReviewPanel,
    TaskKind,
    VolumeRef,
)
from medkd.explanation.artefact import RECORD, keep, leave_cost
from medkd.explanation.defaults import DEFAULT_EXPLAINERS, first_findings
from medkd.explanation.explain_study import ARRAYS, Decided, LoadedModel, StudyExplanationResult, StudyImages, explain_study
from medkd.explanation.of_registry import EXPLANATIONS, read_volume
from medkd.models._load import load_network
from medkd.storage.stage import stage
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace

_LOG = logging.getLogger("medkd")


@stage
def explain_studies(
    workspace: Workspace, volumes: tuple[VolumeRef, ...], source: str, panel: ReviewPanel, requests: tuple[ExplanationRequest, ...]
) -> ExplainedStudies:
    """Explain each study by the models of a panel; a series that they cannot read is refused, the others go on.

    Args:
        workspace: artefacts go to ``explanations/`` of its store.
        volumes: ingested volumes.
        source: folder of their store, relative to the workspace's root.
        panel: the models that are asked.
        requests: what is asked of the segmenter, and of the classifier (:func:`panel_requests`).
    """
    segmenter, classifier = (_loaded(workspace, one) for one in (panel.segmentation, panel.classification))
    store, done, refused = workspace.store_at(source), [], []
    for volume in volumes:
        try:
            images = read_volume(store, volume)
            first = _by(panel.segmentation, segmenter, requests[0], images)
            marked = first.arrays["segmentation/student"] if images.label is None else images.label
            second = _by(panel.classification, classifier, requests[1], replace(images, label=marked))
        except MedkdError as error:
            _LOG.warning("series %s is not explained: %s: %s", volume.series_key, error.code, error)
            refused.append(RefusedSeries(series_key=volume.series_key, code=error.code, reason=str(error)))
            continue
        done.append(_kept(workspace.store, volume, (first, second)))
    return ExplainedStudies(studies=tuple(done), refused=tuple(refused))


def _loaded(workspace: Workspace, one: PanelModel) -> LoadedModel:
    student, teacher = (load_network(workspace, checkpoint) for checkpoint in (one.student_checkpoint, one.teacher_checkpoint))
    loaded = LoadedModel(
        one.model, one.student_checkpoint, student, calibration=one.calibration, structures=one.structures, trained_on=one.trained_on
    )
    if one.student_checkpoint.task.input_names != one.teacher_checkpoint.task.input_names:
        return loaded  # the study has one image, and a teacher that sees another cannot be asked about it
    return replace(loaded, teacher=one.teacher, teacher_network=teacher)


def panel_requests(panel: ReviewPanel) -> tuple[ExplanationRequest, ExplanationRequest]:
    """Return what is asked of a panel's segmenter, and of its classifier: the explainers by name, so that a changed one is asked again."""
    segmenter = panel.segmentation.explainers or DEFAULT_EXPLAINERS[TaskKind.SEGMENTATION]
    classifier = panel.classification.explainers or DEFAULT_EXPLAINERS[TaskKind.CLASSIFICATION]
    return first_findings(*segmenter), first_findings(*classifier)


def _by(one: PanelModel, loaded: LoadedModel, request: ExplanationRequest, images: StudyImages) -> StudyExplanationResult:
    known = Decided(sanity_reports={sanity_report.explainer: sanity_report for sanity_report in one.sanity_reports})
    return explain_study(images, loaded, request, decided=known)


def _kept(store: Store, volume: VolumeRef, explained: tuple[StudyExplanationResult, ...]) -> ExplainedStudy:
    folders = [keep(one, store.root / EXPLANATIONS, previews=False).relative_to(store.root) for one in explained]
    records = tuple(store.refer((folder / RECORD).as_posix()) for folder in folders)
    for record in records:
        leave_cost(store, record)
    return ExplainedStudy(
        series_key=volume.series_key,
        records=records,
        arrays=tuple(store.refer((folder / ARRAYS).as_posix()) for folder in folders),
    )
