"""A registered model at work: it predicts, explains, and is scored on a folder that it has never seen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from data_contracts import (
    Calibration,
    Caveat,
    Checkpoint,
    DataError,
    Entry,
    ExplanationRequest,
    FolderEvaluation,
    IngestPolicy,
    ModelCard,
    ModelRef,
    StudyExplanation,
    Task,
    TaskKind,
    VolumeRef,
)
from data_contracts.private import privately
from medkd.api._paths import PathLike
from medkd.cohorts.external_dataset import FolderHints
from medkd.cohorts.shards import seen_values
from medkd.dicom.choose_volume import choose_images
from medkd.dicom.confidentiality.secret import pseudonym, site_secret
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
from medkd.dicom.ingest_cache import read_manifest
from medkd.dicom.study_folder import claim_study, empty_store
from medkd.evaluation.write_score import evaluate_folder
from medkd.explanation.artefact import read_explanation
from medkd.explanation.of_registry import explain_registered
from medkd.inference.apply_calibration import apply, reaches_threshold
from medkd.inference.calibration_text import calibration_caveats
from medkd.inference.classify import class_logits, pictures_of
from medkd.inference.detect_study import FoundLesion, lesions_of_study
from medkd.inference.further_images import images_caveats, read_further
from medkd.inference.segment import prepare_study, segment
from medkd.inference.series_caveats import rules_of, series_caveats
from medkd.inference.training_caveats import caveats_of_study, require_permitted
from medkd.models._heads import head_view
from medkd.registry.version_files import open_registry, seen_series
from medkd.storage.output import RUN, STUDY_STORE, claim, require_apart, require_source
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace
from medkd.volumes.orientation import grid_of, ras_affine, require_space, save_nifti


@dataclass(frozen=True)
class Prediction:
    """What a model says of one volume.

    Attributes:
        volume: the verified volume: geometry, modality, flags.
        classes: names of the classes.
        labels: class of every voxel, uint8 [slice, row, column]; None of models that classify.
        probabilities: of each picture (slice, or volume as a whole) and class, float32 [picture, class]; None of models that segment.
            Calibrated where the model's version has a calibration.
        caveats: in what the study is not what the model was trained on, and, where the version has a calibration, what it is worth.
        flagged: which pictures reach the threshold that bounds the share of missed positives, bool [picture]; None without a bound, and of
            models that segment.
        case_classes: names of the classes of ``probabilities`` where a model segments and classifies; they are not calibrated then.
        lesions: what a detector found, the surest first: score, box on the study's voxels, centre in the patient; none of other models.
    """

    volume: VolumeRef
    classes: tuple[str, ...]
    labels: NDArray[np.uint8] | None
    probabilities: NDArray[np.float32] | None
    caveats: tuple[Caveat, ...]
    flagged: NDArray[np.bool_] | None = None
    lesions: tuple[FoundLesion, ...] = ()
    case_classes: tuple[str, ...] = ()

    def save(self, path: PathLike) -> Path:
        """Write the labels as NIfTI on the study's own voxels (``.nii.gz``), and return the path.

        Raises:
            DataError: ``MODEL_TASK`` for a model that classifies: it says of no voxel what it is; ``PICTURE_WITHOUT_SPACE`` for a picture.
        """
        if self.labels is None:
            does = "finds boxes" if self.lesions or self.probabilities is None else f"classifies into {list(self.classes)}"
            raise DataError("MODEL_TASK", f"expected the labels of a model that segments, this one {does}")
        save_nifti(self.labels, ras_affine(require_space(self.volume, "NIfTI")), Path(path))
        return Path(path)


@dataclass(frozen=True)
class Explanation:
    """Why a model said what it said of one study.

    Attributes:
        folder: of the artefact, which also lies beside the model version.
        record: findings, maps, measures, and which explainers failed which test.
        arrays: ``map/NUMBER/ROLE/EXPLAINER`` (float32) and ``mask/NUMBER`` (uint8), each [slice, row, column].
    """

    folder: Path
    record: StudyExplanation
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Model:
    """A registered model that was loaded.

    Attributes:
        uri: ``models:/NAME/VERSION``.
        tracking_uri: of the registry that holds it.
        reference: version, digest of its manifest, lineage.
        checkpoint: how it was trained, and on what.
        network: the torch module, in eval mode.
        calibration: how its logits become calibrated probabilities; None of a version without one.
        card: what a person should know of it; None of a version without one.
    """

    uri: str
    tracking_uri: str
    reference: ModelRef
    checkpoint: Checkpoint
    network: nn.Module
    calibration: Calibration | None = None
    card: ModelCard | None = None

    @property
    def task(self) -> Task:
        """Return what the model predicts."""
        return self.checkpoint.task

    def predict(self, study: PathLike, *, series: str | None = None, policy: IngestPolicy | None = None) -> Prediction:
        """Say what is in one study of DICOM; nothing is kept of it.

        Args:
            study: folder or file.
            series: key of the series, where the study holds several.
            policy: what is done about findings of its ingestion.

        Raises:
            DataError: ``NO_VOLUME`` when no geometry can be verified, ``WHICH_SERIES`` when several volumes could be meant, or as
                :func:`medkd.dicom.choose_volume.choose_images` where images of a study are missing,
                ``GRID_MISMATCH`` for slices of another size than the model's pictures.

        Example:
            >>> found = model.predict("dicom/study000")
            >>> found.probabilities.shape == (found.volume.geometry.shape[0], len(found.classes))
            True
        """
        with privately(), self._ingested(Path(study), None, series, policy) as ((volume, *others), store):
            require_permitted(volume, self.checkpoint.domain)
            values, further = seen_values(volume, store), read_further(volume, tuple(others), store, self.task)
            of_series = series_caveats(rules_of(self.card), (volume, *others), store.root)
        prepared = prepare_study(values, grid_of(volume.geometry), self.task, further.values)
        of_study = (*caveats_of_study(volume, self.checkpoint), *images_caveats(self.task, volume, further), *of_series)
        if self.task.kind is TaskKind.DETECTION:
            return Prediction(volume, self.task.classes, None, None, of_study, lesions=lesions_of_study(self.network, prepared, volume))
        caveats = (*of_study, *calibration_caveats(self.calibration, self.reference.name))
        if self.task.kind is TaskKind.SEGMENTATION:
            labels = segment(self.network, prepared).numpy()
            if not self.task.case_classes:
                return Prediction(volume, self.task.classes, labels, None, caveats)
            view, as_cases = head_view(self.network, "classification"), replace(prepared, task=self.task.of_cases())
            shares = class_logits(view, pictures_of(as_cases), as_cases).softmax(1).numpy()
            return Prediction(volume, self.task.classes, labels, shares, caveats, case_classes=self.task.case_classes)
        logits = class_logits(self.network, pictures_of(prepared), prepared)
        if self.calibration is None:
            return Prediction(volume, self.task.classes, None, logits.softmax(1).numpy(), caveats)
        flagged = reaches_threshold(logits.numpy(), self.calibration)
        return Prediction(volume, self.task.classes, None, apply(logits.numpy(), self.calibration), caveats, flagged)

    def explain(
        self,
        study: PathLike,
        out: PathLike | None = None,
        *,
        explainers: Mapping[str, Mapping[str, Any]] | tuple[str, ...] = (),
        lesion: int | None = None,
        time_budget: float | None = None,
        series: str | None = None,
        policy: IngestPolicy | None = None,
    ) -> Explanation:
        """Explain what the model finds or answers in one study, with tests of every map; the artefact is registered beside the model.

        Args:
            study: DICOM of one study, folder or file.
            out: folder of the results; by default ``runs/explanations/KEY``, by a key of the study.
            explainers: names, or names with their options (:func:`entries`); without, those that pass their tests on the model's task.
            lesion: explain this lesion (of a classifier: this answer) only; the largest is 1.
            time_budget: seconds for all: explainers that refine make what fits and say so.
            series: key of the series, where the study holds several.
            policy: what is done about findings of its ingestion.

        Example:
            >>> why = model.explain("dicom/study000", explainers=("grad_cam",))
            >>> [report.explainer for report in why.record.sanity_reports]
            ['grad_cam']
        """
        options = explainers if isinstance(explainers, Mapping) else {name: {} for name in explainers}
        chosen = tuple(Entry(name=name, options=dict(own)) for name, own in options.items())
        request = ExplanationRequest(explainers=chosen, lesion=lesion, seconds=time_budget)
        # A study's folder is often called after its patient.
        place = Path("runs/explanations") / pseudonym(site_secret(), "study", str(Path(study).resolve())) if out is None else Path(out)
        with privately(), self._ingested(Path(study), place.resolve(), series, policy) as (images, store):
            asked = Workspace(store.root.parent, self.tracking_uri)
            folder = explain_registered(asked, images, store.root, self.uri, request, place.resolve())
        record, arrays = read_explanation(folder)
        return Explanation(folder, record, {name: values.numpy() for name, values in arrays.items()})

    @contextmanager
    def _ingested(
        self, study: Path, out: Path | None, series: str | None, policy: IngestPolicy | None
    ) -> Iterator[tuple[tuple[VolumeRef, ...], Store]]:
        """Ingest a study below ``out`` (a folder that is thrown away where it is None); yield the volumes that are meant, and their store."""
        with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
            folder = Path(scratch) / "study" if out is None else out
            store = empty_store(claim_study(study, folder))
            request = IngestRequest(study, store, policy or IngestPolicy(), made_for=STUDY_STORE)
            ingested = ingest_with_site_secret(request)
            registry = Workspace(folder, self.tracking_uri)
            chosen = choose_images(read_manifest(store), ingested, series, lambda: seen_series(open_registry(registry), self.uri))
            yield chosen, Store(store)


def evaluate(
    model: Model,
    data: PathLike,
    out: PathLike | None = None,
    *,
    teacher: str | None = None,
    where: Mapping[str, str] | None = None,
    id_column: str | None = None,
    patient_column: str | None = None,
    label_column: str | None = None,
    patient_pattern: str | None = None,
    segments: Mapping[str, str] | None = None,
) -> FolderEvaluation:
    """Score a registered model on a folder it has never seen: figures with intervals over patients, subgroups, a row per case.

    Args:
        model: what :func:`load` returned.
        data: folder with ``cases.csv`` or ``dataset.json``, or of DICOM with its labels, as in ``docs/tutorial.md``.
        out: folder of record, tables and picture; by default ``runs/evaluations/MODEL-VERSION-FOLDER``.
        teacher: registered teacher to compare with, ``models:/NAME/VERSION``.
        where: columns of ``cases.csv`` and the value that lines must have in them.
        id_column: column that names the files, where it is not recognised.
        patient_column: column that names the patient.
        label_column: column that holds the class.
        patient_pattern: without ``cases.csv``: ``odd-even``, or a regular expression whose group is the patient.
        segments: of DICOM, the class of a structure by its label, code or meaning, where it is not called like one.

    Raises:
        SourceError, DataError: the folder is not as it should be.

    Example:
        >>> medkd.evaluate(model, "clinic").n
        6
    """
    hints = FolderHints(id_column, patient_column, label_column, patient_pattern, dict(where or {}), dict(segments or {}))
    root, model_name = Path(data), f"{model.reference.name}-{model.reference.version}"
    folder = Path(out if out is not None else Path("runs/evaluations") / f"{model_name}-{root.resolve().name}").resolve()
    require_source(root)
    require_apart(root, folder)
    with privately(), tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        workspace = Workspace(claim(folder, RUN), model.tracking_uri)
        return evaluate_folder(workspace, root.resolve(), hints, model.uri, teacher, Path(scratch))
