"""Write what a model scored on a folder: the record, a row per case and per patient, and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Sheet
from numpy.typing import NDArray

from data_contracts import BANNER, DataError, DicomData, FolderEvaluation, ImageFolderData, ModelCard, ReportModel, Role, SeriesRule, Task
from medkd.cohorts.case_table import case_key, read_table
from medkd.cohorts.external_dataset import FolderHints, describe_folder
from medkd.cohorts.folder_names import identifier_of
from medkd.evaluation.score_folder import FolderScore, ScoredModel, score_folder
from medkd.measures.froc import OPERATING_POINTS, froc_curve
from medkd.models._inputs import picking
from medkd.registry.load_version import load_version
from medkd.registry.publish import open_registry
from medkd.storage.store import Store, write_bytes
from medkd.storage.workspace import Workspace

BINS = 15


def evaluate_folder(
    workspace: Workspace, root: Path, hints: FolderHints, model_uri: str, teacher_uri: str | None, scratch: Path
) -> FolderEvaluation:
    """Score a registered model on a folder and write ``evaluation.json``, ``rows.csv``, ``patients.csv`` and a picture to the workspace.

    Args:
        workspace: its tracking URI is the registry, its root where the files go.
        root: folder with ``cases.csv`` or ``dataset.json``, or of DICOM.
        hints: what the user says of the folder.
        model_uri: ``models:/NAME/VERSION``.
        teacher_uri: of the teacher to compare with, or None.
        scratch: folder for imported arrays; may be deleted afterwards.

    Raises:
        RegistryError: a version that does not exist or was altered.
        SourceError, DataError: as ``describe_folder`` and the importers.
    """
    subject = load_subject(workspace, model_uri, teacher_uri)
    data = describe_folder(root, subject.task, replace(hints, series=subject.series))
    score = score_folder(subject, root, data, Store(scratch, "scratch"), progress=workspace.progress)
    out = workspace.root
    score.evaluation.write(out / "evaluation.json")
    if isinstance(data, ImageFolderData):
        # Keys of cases are keyed hashes: names are found again by making the keys of all of them.
        names = {case_key(line[data.id_column]): line[data.id_column] for line in read_table(root, data)}
    elif isinstance(data, DicomData):
        names = {}  # a case is called by its series, under its key
    else:
        names = {case_key(name): name for name in (identifier_of(path.name) for path in root.rglob("*.nii*"))}
    write_bytes(out / "rows.csv", _case_table(score, names))
    write_bytes(out / "patients.csv", _patient_table(score))
    draw = render_froc if score.scores.detections else render_calibration
    write_bytes(out / ("froc.png" if score.scores.detections else "calibration.png"), draw(score))
    return score.evaluation


def load_subject(workspace: Workspace, model_uri: str, teacher_uri: str | None) -> ScoredModel:
    """Return a registered model, every byte verified, with the teacher that was named; each picks its own images of what both are shown.

    Raises:
        DataError: ``MODEL_TASK`` when the two answer different questions, ``TASK_INPUTS`` when one needs an image that cannot be told.
    """
    registry = open_registry(workspace)
    model, checkpoint, network, calibration, card = load_version(registry, model_uri)
    own = ReportModel(
        role=model.role.value,
        name=model.name,
        version=model.version,
        manifest_digest=model.manifest_digest,
        parameters=checkpoint.parameters,
    )
    if teacher_uri is None:
        return ScoredModel(checkpoint.task, network, own, calibration=calibration, series=_series(checkpoint.task, card))
    teacher_ref, its, teacher, _, its_card = load_version(registry, teacher_uri)
    if its.task.seen_through(()) != checkpoint.task.seen_through(()):
        raise DataError("MODEL_TASK", f"expected a teacher of the same task as {model.name}, {teacher_ref.name} has another one")
    teacher_model = ReportModel(
        role=Role.TEACHER.value,
        name=teacher_ref.name,
        version=teacher_ref.version,
        manifest_digest=teacher_ref.manifest_digest,
        parameters=its.parameters,
    )
    shown = checkpoint.task.seeing_also(its.task)
    own_inputs, its_inputs = picking(network, checkpoint.task, shown), picking(teacher, its.task, shown)
    series = _series(shown, card) or _series(shown, its_card)
    return ScoredModel(shown, own_inputs, own, its_inputs, teacher_model, calibration, series)


def _series(task: Task, card: ModelCard | None) -> dict[str, SeriesRule]:
    return {} if card is None else card.needed_series(task)


def _case_table(score: FolderScore, names: dict[str, str]) -> bytes:
    """Return a CSV with the case's own name: it stays beside the data and goes nowhere else."""
    values = score.scores.shown | score.scores.rows
    attributes = list(dict.fromkeys(name for case in score.cases for name in case.attributes))
    labelled = ["label"] if len(score.scores.labels) else []
    lines: list[list[object]] = [["case", "patient_key", *attributes, *labelled, *values]]
    for row, case in enumerate(score.cases):
        label = [case.label] if labelled else []
        own = [case.attributes.get(name, "") for name in attributes]
        lines.append([names.get(case.case_key, case.case_key), case.patient_key, *own, *label, *(_cell(v[row]) for v in values.values())])
    return _csv(lines)


def _patient_table(score: FolderScore) -> bytes:
    """Return a CSV with the mean over each patient's cases."""
    values = score.scores.shown | score.scores.rows
    lines: list[list[object]] = [["patient_key", "cases", *values]]
    for patient in dict.fromkeys(case.patient_key for case in score.cases):
        rows = np.array([row for row, case in enumerate(score.cases) if case.patient_key == patient])
        means = (v[rows][~np.isnan(v[rows])] for v in values.values())
        lines.append([patient, len(rows), *(_cell(float(m.mean()) if len(m) else float("nan")) for m in means)])
    return _csv(lines)


def _csv(lines: Sequence[Sequence[object]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue().encode()


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def render_calibration(score: FolderScore) -> bytes:
    """Return a PNG: how often the class was right where its probability fell into each bin, with the number of cases below."""
    columns = {name: values for name, values in score.scores.shown.items() if name.startswith("probability")}
    sheet = Sheet(figsize=(5.2 * len(columns), 5.6), dpi=110)
    grid = sheet.subplots(2, len(columns), squeeze=False, height_ratios=[4, 1], sharex=True)
    for column, (name, probability) in enumerate(columns.items()):
        suffix = name.removeprefix("probability")
        index = next(i for i in _class_indices(score) if suffix in ("", f"_{_plain(score, i)}"))
        wanted = (score.scores.labels == index).astype(float)
        upper, lower = grid[0, column], grid[1, column]
        confidence, share, count = reliability(probability, wanted)
        upper.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="perfectly calibrated")
        upper.plot(confidence, share, marker="o", color="#0072b2", label="model")
        for x, y, n in zip(confidence, share, count, strict=True):
            low, high = wilson(y, int(n))
            upper.plot([x, x], [low, high], color="#0072b2", linewidth=1, alpha=0.6)
        ece, brier = (score.evaluation.metrics.get(f"{measure}{suffix}") for measure in ("ece", "brier"))
        said = [f"{n} {f.mean:.3f} [{f.low:.3f}, {f.high:.3f}]" for n, f in (("ECE", ece), ("Brier", brier)) if f is not None]
        upper.set_title(f"{score.evaluation.model.name} {score.evaluation.model.version}\n" + ", ".join(said), fontsize=9)
        upper.set_ylabel("observed share")
        upper.legend(fontsize=8, loc="upper left")
        lower.hist(probability, bins=np.linspace(0, 1, BINS + 1), color="0.6")
        lower.set_xlabel("predicted probability")
        lower.set_ylabel("cases")
    return _png(sheet)


def _class_indices(score: FolderScore) -> range:
    classes = len([name for name in score.scores.shown if name.startswith("probability")])
    return range(1, 2) if classes == 1 else range(classes)


def _plain(score: FolderScore, index: int) -> str:
    names = [name.removeprefix("probability_") for name in score.scores.shown if name.startswith("probability_")]
    return names[index] if names else ""


def reliability(
    probability: NDArray[np.float64], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return mean probability, observed share and number of cases of each bin that holds any; equal bins, upper edges included."""
    # Bins are open below and closed above; a probability of 0 belongs to the first.
    place = np.clip(np.ceil(probability * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    held = count > 0
    mean = np.bincount(place, weights=probability, minlength=BINS)[held] / count[held]
    return mean, np.bincount(place, weights=wanted, minlength=BINS)[held] / count[held], count[held]


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share of n cases (Wilson 1927)."""
    z = 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return float(middle - half), float(middle + half)


def render_froc(score: FolderScore) -> bytes:
    """Return a PNG: sensitivity for lesions against false positives per image, one line per class, operating points marked."""
    sheet = Sheet(figsize=(5.6, 4.6), dpi=110)
    axes: Axes = sheet.subplots()
    for name, found in score.scores.detections.items():
        rates, sensitivities = froc_curve(found)
        figure = score.evaluation.metrics.get(name)
        said = "undefined" if figure is None else f"{figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
        # A FROC is a staircase (medkd/README.md): drawn through its points it would promise what no threshold reaches.
        axes.step(np.append(rates, OPERATING_POINTS[-1]), np.append(sensitivities, sensitivities[-1]), where="post", label=f"{name} {said}")
    axes.set_xscale("symlog", base=2, linthresh=OPERATING_POINTS[0])
    axes.set_xticks(OPERATING_POINTS, [f"{point:g}" for point in OPERATING_POINTS])
    axes.set_xlim(0, OPERATING_POINTS[-1])
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("false positives per image")
    axes.set_ylabel("sensitivity for lesions")
    axes.set_title(f"{score.evaluation.model.name} {score.evaluation.model.version}, {score.evaluation.n} patients", fontsize=9)
    axes.legend(fontsize=8, loc="lower right")
    return _png(sheet)


def _png(sheet: Sheet) -> bytes:
    sheet.text(0.5, 0.005, BANNER, ha="center", fontsize=7, color="0.4")
    sheet.set_layout_engine("constrained", rect=(0, 0.03, 1, 0.97))
    stream = io.BytesIO()
    # Without the version of matplotlib, which it would write in: the same score gives the same bytes.
    FigureCanvasAgg(sheet).print_png(stream, metadata={"Software": "medkd"})
    return stream.getvalue()
