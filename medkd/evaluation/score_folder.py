"""Score a registered model on a folder it has never seen: a row per case, figures with patient-level intervals, subgroups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data_contracts import (
    Calibration,
    Case,
    CohortUse,
    DataError,
    DicomData,
    Estimate,
    FolderEvaluation,
    IngestReport,
    Outcome,
    Part,
    Ref,
    ReportModel,
    SeriesRule,
    Subgroup,
    Task,
    TaskKind,
    require_kind,
)
from medkd.catalogue import MEASURES
from medkd.cohorts.case_table import FolderData
from medkd.cohorts.external_dataset import is_age
from medkd.cohorts.tensor_cohort import TensorCohort, open_cohort
from medkd.cohorts.volume_cohort import VolumeCohort, open_volumes
from medkd.cohorts.whole_folder import import_whole
from medkd.evaluation.bootstrap import Statistic, auc_of, average_precision_of, bootstrap_figure, mean_of
from medkd.evaluation.evaluate import compare_class_maps, compare_segmentation_maps
from medkd.evaluation.evaluate_volumes import class_names, compare_maps, score_answer
from medkd.inference.apply_calibration import apply
from medkd.inference.calibration_text import probabilities_text
from medkd.inference.predict import predict_logits
from medkd.inference.predict_cohort import volume_logits
from medkd.measures.dice import dice
from medkd.measures.expected_calibration_error import expected_calibration_error
from medkd.measures.froc import Detections, detect, froc_score
from medkd.progress import progress_bar
from medkd.storage.store import Store, write_bytes

AGE_BANDS = ((18, "0-17"), (40, "18-39"), (60, "40-59"), (80, "60-79"))
_LESION_SIZE = "lesion size"
NO_INTERVAL = "no interval: an interval is over patients, and there is one"


@dataclass(frozen=True)
class ScoredModel:
    """Who is scored: the network of a registered model with the calibration of its version, and its teacher where one was named.

    ``series`` says which volumes of a DICOM study are the images that the networks see, where their cards do.
    """

    task: Task
    network: nn.Module
    model: ReportModel
    teacher_network: nn.Module | None = None
    teacher: ReportModel | None = None
    calibration: Calibration | None = None
    series: Mapping[str, SeriesRule] = field(default_factory=dict)


@dataclass
class Scores:
    """What one network made of n cases.

    Attributes:
        rows: one value per case, float64 [n], NaN where undefined; their means are figures.
        statistics: figures of all cases together, by name.
        shown: further values per case for the table, not averaged.
        labels: class index per case, -1 where there is none.
        detections: candidates per foreground class and case.
    """

    rows: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    statistics: dict[str, Statistic] = field(default_factory=dict)
    shown: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    detections: dict[str, list[Detections]] = field(default_factory=dict)

    def all_statistics(self) -> dict[str, Statistic]:
        """Return every figure's statistic."""
        return self.statistics | {name: mean_of(values[None]) for name, values in self.rows.items()}


@dataclass(frozen=True)
class FolderScore:
    """The record, and what its tables and pictures are made of."""

    evaluation: FolderEvaluation
    cases: tuple[Case, ...]
    scores: Scores


def score_folder(subject: ScoredModel, root: Path, data: FolderData | DicomData, store: Store, *, progress: bool = False) -> FolderScore:
    """Import a folder into ``store`` and score the subject on every readable case of it.

    Args:
        subject: networks of one task; where it names several images, the folder's list says which is which.
        root: the folder.
        data: how to read it (``describe_folder``).
        store: scratch space for the imported arrays.
        progress: show bars.

    Raises:
        DataError: as the importers; ``TASK_INPUTS`` for a network that reads a clinical row, which is in units of its own training.
    """
    require_kind(subject.task, "the scores of a folder")
    if subject.task.clinical:
        raise DataError(
            "TASK_INPUTS",
            f"expected networks that see images alone for the scores of a folder, these see the row {', '.join(subject.task.clinical)}: score a student "
            "that does without it",
        )
    cohort, ledger = import_whole(root, data, subject.task, store, progress=progress)
    payload = cohort.canonical_json()
    write_bytes(store.root / "folder/all.json", payload)
    use = CohortUse(cohort=Ref(store=store.name, key="folder/all.json", sha256=cohort.digest()), part=Part.TEST)
    scores, sizes = _score(subject, subject.network, use, store, progress=progress)
    teacher_scores = (
        _score(subject, subject.teacher_network, use, store, progress=progress)[0] if subject.teacher_network is not None else None
    )
    cases = cohort.part(Part.TEST)
    patients = [case.patient_key for case in cases]
    groups = _groups(cases, sizes, "ml" if subject.task.spatial_dims == 3 else "% of the picture")
    evaluation = FolderEvaluation(
        model=subject.model,
        teacher=subject.teacher,
        folder=root.name,
        cohort_digest=cohort.digest(),
        n=len(set(patients)),
        cases=len(cases),
        files=_count(ledger),
        metrics=_figures(scores, patients),
        teacher_metrics=_figures(teacher_scores, patients) if teacher_scores is not None else {},
        subgroups={
            column: {value: _subgroup(scores, patients, np.array(rows)) for value, rows in values.items()}
            for column, values in groups.items()
        },
        conventions=_conventions(scores) | _calibrated(subject),
        # Resamples of one patient are all the same: their spread says nothing of other patients.
        **({"interval": NO_INTERVAL} if len(set(patients)) < 2 else {}),
    )
    return FolderScore(evaluation, cases, scores)


def _score(subject: ScoredModel, network: nn.Module, use: CohortUse, store: Store, *, progress: bool) -> tuple[Scores, NDArray[np.float64]]:
    """Return scores and the size of each case's lesion (ml, or % of the picture; NaN where unknown)."""
    task = subject.task
    teacher_network, calibration = (subject.teacher_network, subject.calibration) if network is subject.network else (None, None)
    if task.spatial_dims == 3:
        volumes = open_volumes(use, store, task)
        known = [bool(has) for has in volumes.has_label]
        voxel_ml = [abs(np.linalg.det(a.source.affine_lps_mm[:3, :3])) / 1000 for a in volumes.alignments]
        sizes = np.array([float((r > 0).sum()) * v if k else np.nan for r, v, k in zip(volumes.references, voxel_ml, known, strict=True)])
        if task.kind is TaskKind.SEGMENTATION:
            return _volumes(network, teacher_network, volumes, task, progress=progress), sizes
        return _classes(network, teacher_network, volumes.as_tensors(task), task, calibration), sizes
    pictures = open_cohort(use, store, task)
    share = pictures.masks.flatten(1).double().sum(1) / pictures.valid.flatten(1).double().sum(1)
    sizes = np.where(pictures.has_mask.numpy(), 100 * share.numpy(), np.nan)
    if task.kind is TaskKind.SEGMENTATION:
        return _pictures(network, teacher_network, pictures, task), sizes
    return _classes(network, teacher_network, pictures, task, calibration), sizes


def _calibrated(subject: ScoredModel) -> dict[str, str]:
    """Return what is said of a classifier's probabilities, where its version has a calibration."""
    if subject.calibration is None or subject.task.kind is TaskKind.SEGMENTATION:
        return {}
    return {"probability": probabilities_text(subject.calibration)}


def _classes(
    network: nn.Module, teacher_network: nn.Module | None, cohort: TensorCohort, task: Task, calibration: Calibration | None
) -> Scores:
    """Score a classifier: each class against the rest (with two classes, the second one)."""
    logits = predict_logits(network, cohort.images, flips=task.test_time_flips)
    probability = (logits.softmax(1) if calibration is None else torch.from_numpy(apply(logits.numpy(), calibration))).double()
    labels = cohort.labels.numpy()
    scores = Scores(labels=labels)
    indices = [1] if len(task.classes) == 2 else range(len(task.classes))
    for index in indices:
        suffix = "" if len(task.classes) == 2 else f"_{task.classes[index].lower().replace(' ', '_')}"
        column, wanted = probability[:, index].numpy(), (labels == index).astype(np.int64)
        scores.shown[f"probability{suffix}"] = column
        scores.statistics |= {
            f"auc{suffix}": auc_of(column[None], wanted),
            f"auprc{suffix}": average_precision_of(column[None], wanted),
            f"ece{suffix}": _ece_of(column, wanted),
        }
        scores.rows[f"brier{suffix}"] = (column - wanted) ** 2
    scores.rows["accuracy"] = (probability.argmax(1).numpy() == labels).astype(float)
    if teacher_network is not None:
        answered = predict_logits(teacher_network, cohort.images, flips=task.test_time_flips).argmax(1)
        scores.rows["same_answer"] = (probability.argmax(1) == answered).double().numpy()
    maps, _ = compare_class_maps(network, teacher_network or network, cohort)
    _add_maps(
        scores,
        {name: value.double().numpy() for name, value in maps.items()},
        cohort.has_mask.numpy(),
        with_guide=teacher_network is not None,
    )
    return scores


def _pictures(network: nn.Module, teacher_network: nn.Module | None, cohort: TensorCohort, task: Task) -> Scores:
    logits = predict_logits(network, cohort.images, flips=task.test_time_flips)
    answer, probability = logits.argmax(1), logits.softmax(1)
    rows = [score_answer(answer[row], cohort.masks[row], task, spacing_mm=None) for row in range(len(cohort))]
    scores = Scores(rows={name: np.array([float(row[name]) for row in rows]) for name in rows[0]})
    for index, name in enumerate(class_names(task), 1):
        found = [detect(probability[row, index], cohort.masks[row] == index) for row in range(len(cohort))]
        _add_detections(scores, found, f"_{name}" if len(task.classes) > 2 else "")
    if teacher_network is not None:
        reference = predict_logits(teacher_network, cohort.images, flips=task.test_time_flips).argmax(1)
        scores.rows["dice_to_teacher"] = dice(answer, reference).double().numpy()
    maps, _, _ = compare_segmentation_maps(network, teacher_network or network, cohort)
    _add_maps(
        scores,
        {name: value.double().numpy() for name, value in maps.items()},
        cohort.has_mask.numpy(),
        with_guide=teacher_network is not None,
    )
    return scores


def _volumes(network: nn.Module, teacher_network: nn.Module | None, cohort: VolumeCohort, task: Task, *, progress: bool) -> Scores:
    rows: list[dict[str, float]] = []
    found: dict[str, list[Detections]] = {name: [] for name in class_names(task)}
    for row in progress_bar(range(len(cohort)), title="score", unit="volume", enabled=progress):
        logits, label = volume_logits(network, cohort, row, task), cohort.references[row]
        answer, probability = logits.argmax(0), logits.softmax(0)
        values = {name: float(value) for name, value in score_answer(answer, label, task, spacing_mm=cohort.spacing_mm(row)).items()}
        for index, name in enumerate(class_names(task), 1):
            found[name].append(detect(probability[index], label == index))
        if teacher_network is not None:
            reference = volume_logits(teacher_network, cohort, row, task).argmax(0)
            values["dice_to_teacher"] = float(dice((answer > 0)[None], (reference > 0)[None])[0])
        rows.append(values)
    scores = Scores(rows={name: np.array([row[name] for row in rows]) for name in rows[0]})
    for name, detections in found.items():
        _add_detections(scores, detections, f"_{name}" if len(task.classes) > 2 else "")
    maps = compare_maps(network, teacher_network or network, cohort, task)
    _add_maps(
        scores,
        {name: value.double().numpy() for name, value in maps.items()},
        np.array(cohort.has_label),
        with_guide=teacher_network is not None,
    )
    return scores


def _add_maps(scores: Scores, maps: Mapping[str, NDArray[np.float64]], has_mask: NDArray[np.bool_], *, with_guide: bool) -> None:
    """Keep localisation where masks exist, and agreement where there is somebody to agree with."""
    for name, values in maps.items():
        if name == "agreement" and with_guide:
            scores.rows[name] = values
        elif name != "agreement" and has_mask.any():
            scores.rows[name] = np.where(has_mask, values, np.nan)


def _add_detections(scores: Scores, found: list[Detections], suffix: str) -> None:
    scores.detections[f"froc{suffix}"] = found
    scores.statistics[f"froc{suffix}"] = lambda rows, _: froc_score([found[row] for row in rows])


def _ece_of(probability: NDArray[np.float64], labels: NDArray[np.int64]) -> Statistic:
    values, wanted = torch.from_numpy(probability), torch.from_numpy(labels)
    return lambda rows, _: float(expected_calibration_error(values[rows], wanted[rows]))


def _figures(scores: Scores, patients: list[str], chosen: NDArray[np.int64] | None = None) -> dict[str, Estimate]:
    """Return the figures that are defined among some cases (all of them where none are named)."""
    rows = np.arange(len(patients)) if chosen is None else chosen
    figures = {}
    for name, statistic in scores.all_statistics().items():
        if np.isnan(statistic(rows, 0)):
            continue
        missing = int(np.isnan(scores.rows[name][rows]).sum()) if name in scores.rows else 0
        figures[name] = bootstrap_figure(_among(statistic, rows), [patients[row] for row in rows], missing=missing)
    return figures


def _among(statistic: Statistic, rows: NDArray[np.int64]) -> Callable[[NDArray[np.int64], int], float]:
    return lambda drawn, seed: statistic(rows[drawn], seed)


def _subgroup(scores: Scores, patients: list[str], rows: NDArray[np.int64]) -> Subgroup:
    return Subgroup(n=len({patients[row] for row in rows}), cases=len(rows), metrics=_figures(scores, patients, rows))


def _groups(cases: tuple[Case, ...], sizes: NDArray[np.float64], unit: str) -> dict[str, dict[str, list[int]]]:
    """Return rows per value per column: what the table says (ages in bands), and thirds of the lesion size."""
    columns = dict.fromkeys(name for case in cases for name in case.attributes)
    named = {column: [_value(column, case.attributes.get(column, "")) for case in cases] for column in columns}
    if np.isfinite(sizes).sum() >= 6 and np.nanmin(sizes) < np.nanmax(sizes):
        named[_LESION_SIZE] = _thirds(sizes, unit)
    groups: dict[str, dict[str, list[int]]] = {}
    for column, values in named.items():
        own = {value: [row for row, is_it in enumerate(values) if is_it == value] for value in sorted(set(values), key=_natural)}
        if len(own) > 1:
            groups[column] = own
    return groups


def _value(column: str, text: str) -> str:
    if not text.strip():
        return "unknown"
    if not is_age(column):
        return text
    try:
        years = float(text.strip().lower().removesuffix("y"))
    except ValueError:
        return "unknown"
    return next((band for below, band in AGE_BANDS if years < below), "80+")


def _thirds(sizes: NDArray[np.float64], unit: str) -> list[str]:
    low, high = np.nanquantile(sizes, [1 / 3, 2 / 3])
    names = (f"1 small, up to {low:.3g} {unit}", f"2 middle, up to {high:.3g} {unit}", f"3 large, above {high:.3g} {unit}")
    return ["unknown" if np.isnan(size) else names[0] if size <= low else names[1] if size <= high else names[2] for size in sizes]


def _natural(text: str) -> tuple[int, str]:
    return (1 if text == "unknown" else 0, text.rjust(8) if text.isdigit() else text)


def _count(ledger: IngestReport) -> dict[str, int]:
    return {"accepted": ledger.count(Outcome.ACCEPTED), **ledger.codes()}


def _conventions(scores: Scores) -> dict[str, str]:
    """Return what each measure among the figures makes of empty masks, by the measure's catalogue name."""
    known = MEASURES.names()
    named = {measure for name in scores.all_statistics() for measure in known if name == measure or name.startswith(f"{measure}_")}
    return {measure: str(MEASURES.entry(measure).fact("EMPTY")) for measure in sorted(named)}
