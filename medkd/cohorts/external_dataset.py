"""What a folder holds that no recipe describes: its table, columns and files are recognised, or asked for by name; nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from data_contracts import Coordinate, DataError, DicomData, ImageFolderData, SeriesRule, SourceError, Task, TaskKind, VolumeFolderData
from medkd.cohorts.case_table import FolderData, Line, columns_of, read_lines
from medkd.cohorts.folder_names import few, identifier_of, require_inside

TABLE, DATASET = "cases.csv", "dataset.json"
#: What folders of images and of label maps are called; the first that there is counts.
IMAGE_FOLDERS, MASK_FOLDERS = ("images", "imagesTr"), ("masks", "labels", "labelsTr")
PATIENT_NAMES = ("patient", "patient_id", "patientid", "subject", "subject_id", "person")
LABEL_NAMES = ("label", "class", "target", "diagnosis", "pathology")
#: Columns that say how a table was split; they describe no patient.
SPLIT_NAMES = ("split", "fold", "kfold", "part", "set")
#: So many files of a folder without a table are looked at for the sign of DICOM.
_MOST_PROBED = 100
#: A column with more values than this is no subgroup (ages are put into bands); of numbers, fewer: they are mostly measurements.
MOST_VALUES, MOST_NUMBERS = 12, 6


@dataclass(frozen=True)
class FolderHints:
    """What is said of a folder: columns by name, the lines wanted, the rule that tells people apart without a table, and what structures of DICOM are.

    ``series`` is not the user's but the model's: which volumes of a study are the images that it sees. It counts where ``where`` chooses none.
    """

    id_column: str | None = None
    patient_column: str | None = None
    label_column: str | None = None
    patient_pattern: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)
    series: Mapping[str, SeriesRule] = field(default_factory=dict)


def describe_folder(root: Path, task: Task, hints: FolderHints) -> FolderData | DicomData:
    """Return how to import a folder for a task.

    Pictures: ``cases.csv`` beside ``images/`` and, where masks exist, ``masks/``. Volumes: ``dataset.json`` of the Medical Segmentation
    Decathlon or of nnU-Net v2 (optionally with ``cases.csv``), or ``cases.csv`` beside ``images/`` and ``masks/`` of NIfTI files. The
    folders may be called ``imagesTr`` and ``labels`` or ``labelsTr`` too. A case is named with or without suffix. Without table and list:
    DICOM files with their labels (SEG, RTSTRUCT, NIfTI) among them, of which ``where`` keeps a modality or coordinates of volumes.

    Raises:
        SourceError: ``SOURCE_MISSING`` when there is no such folder, table or list, and no DICOM.
        DataError: ``TABLE_COLUMN`` when a column cannot be recognised; the sentence says which option names it. ``TABLE_UNREADABLE``,
            ``PATH_ESCAPE`` when the table or a folder is a link that leads out.
    """
    if not root.is_dir():
        raise SourceError("SOURCE_MISSING", f"expected a folder, found none at {root}")
    table, dataset = (root / TABLE).is_file(), (root / DATASET).is_file()
    if not table and not (dataset and task.spatial_dims == 3):
        if _holds_dicom(root):
            return _of_dicom(hints)
        wanted = f"{TABLE}, {DATASET}" if task.spatial_dims == 3 else TABLE
        found = few(sorted(path.name for path in root.iterdir()))
        raise SourceError("SOURCE_MISSING", f"expected {wanted} or DICOM files in {root.name}, found {found}")
    if hints.segments:
        raise DataError(
            "SEGMENTS_TABLE",
            f"expected DICOM in {root.name} for --segment, whose structures have names, found a table or a list: leave it out",
        )
    for name in (TABLE, DATASET, *IMAGE_FOLDERS, *MASK_FOLDERS):
        require_inside(root, name, "the folder")
    if not table:
        if hints.patient_pattern is None:
            raise DataError(
                "TABLE_COLUMN",
                f"expected {TABLE} with a patient column in {root.name}, or --patient-pattern: whose each file is must be known",
            )
        return VolumeFolderData(path=".", patient_pattern=hints.patient_pattern)
    lines = read_lines(root / TABLE)
    listed = dataset and task.spatial_dims == 3
    images, masks = _folder_of(root, IMAGE_FOLDERS) or "images", _folder_of(root, MASK_FOLDERS)
    columns: dict[str, Any] = {
        "table": TABLE,
        "images": images,
        "id_column": _id_column(lines, root, hints, images, listed=listed),
        "patient_column": _patient_column(lines, hints),
        "label_column": _label_column(lines, task, hints) if task.kind is TaskKind.CLASSIFICATION else None,
        "where": dict(hints.where),
    }
    columns["attribute_columns"] = _subgroup_columns(
        lines, {str(columns[name]) for name in ("id_column", "patient_column", "label_column")}
    )
    if task.kind.is_dense and masks is None and not listed:
        raise SourceError(
            "SOURCE_MISSING",
            f"expected a folder masks in {root.name} to score a segmentation, found {few(sorted(path.name for path in root.iterdir()))}",
        )
    if task.spatial_dims == 3:
        return VolumeFolderData(path=".", dataset=DATASET if listed else None, masks=masks, **columns)
    return ImageFolderData(path=".", masks=masks, **columns)


def _holds_dicom(root: Path) -> bool:
    """Return whether one of the first files of a folder, at any depth, begins as DICOM does (PS3.10 7.1)."""
    for path in islice((path for path in root.rglob("*") if path.is_file()), _MOST_PROBED):
        with path.open("rb") as stream:
            if stream.read(132)[128:] == b"DICM":
                return True
    return False


def _of_dicom(hints: FolderHints) -> DicomData:
    """Return how DICOM is read: the modality and the coordinates that are wanted, else what the model says that it sees, else all of it."""
    named = [name for name in ("id_column", "patient_column", "label_column", "patient_pattern") if getattr(hints, name) is not None]
    if named:
        raise DataError(
            "TABLE_COLUMN",
            f"expected nothing about columns or patients of DICOM, whose headers say it, got {' and '.join(named).replace('_', ' ')}: leave it out",
        )
    if hints.series and not hints.where:
        return DicomData(path=".", channels=dict(hints.series), segments=dict(hints.segments))
    coordinates = {name: _coordinate(value) for name, value in hints.where.items() if name != "modality"}
    return DicomData(path=".", modality=hints.where.get("modality"), coordinates=coordinates, segments=dict(hints.segments))


def _coordinate(text: str) -> Coordinate:
    try:
        return float(text)
    except ValueError:
        return text


def _folder_of(root: Path, names: Sequence[str]) -> str | None:
    return next((name for name in names if (root / name).is_dir()), None)


def _id_column(lines: Sequence[Line], root: Path, hints: FolderHints, images: str, *, listed: bool) -> str:
    """Return the column whose values are names of files, with or without suffix; where several are, the one that tells the lines apart."""
    if hints.id_column is not None:
        return _known(hints.id_column, lines, "--column id")
    folder = root / "imagesTr" if listed and (root / "imagesTr").is_dir() else root / images
    names = {identifier_of(path.name) for path in folder.iterdir()} if folder.is_dir() else set()
    if listed:
        # nnU-Net names the channel at the end of an image's name, and the case without it.
        names |= {name[:-5] for name in names if len(name) > 5 and name[-5] == "_" and name[-4:].isdigit()}
    columns = columns_of(lines)
    fitting = [column for column in columns if any(identifier_of(line[column]) in names for line in lines if line[column])]
    distinct = [column for column in fitting if len({identifier_of(line[column]) for line in lines}) == len(lines)]
    chosen = distinct or fitting
    if len(chosen) != 1:
        held = f"the files are called {few(sorted(names))}" if not fitting else f"{few(fitting, 6)} do"
        raise DataError(
            "TABLE_COLUMN",
            f"expected one column of {TABLE} to hold the names of the files in {folder.name}, {held}; "
            f"{TABLE} has the columns {columns} and begins with {few(lines[0][column] for column in columns)}; name the column with --column id=COLUMN",
        )
    return chosen[0]


def _patient_column(lines: Sequence[Line], hints: FolderHints) -> str:
    if hints.patient_column is not None:
        return _known(hints.patient_column, lines, "--column patient")
    fitting = [column for column in columns_of(lines) if column.lower().replace(" ", "_") in PATIENT_NAMES]
    if not fitting:
        raise DataError(
            "TABLE_COLUMN",
            f"expected a column {', '.join(PATIENT_NAMES[:5])} in {TABLE}, it has {columns_of(lines)}; name it with --column patient=COLUMN (the file column, where each case is another patient)",
        )
    return min(fitting, key=lambda column: PATIENT_NAMES.index(column.lower().replace(" ", "_")))


def _label_column(lines: Sequence[Line], task: Task, hints: FolderHints) -> str:
    """Return the column that holds nothing but the task's classes."""
    if hints.label_column is not None:
        return _known(hints.label_column, lines, "--column label")
    values = {column: sorted({line[column] for line in lines}) for column in columns_of(lines)}
    fitting = [column for column, held in values.items() if set(held) <= set(task.classes)]
    named = [column for column in fitting if column.lower() in LABEL_NAMES]
    chosen = named if len(named) == 1 else fitting
    if len(chosen) != 1:
        raise DataError(
            "TABLE_COLUMN",
            f"expected one column of {TABLE} to hold the classes {list(task.classes)}, {fitting or 'none'} does; "
            f"the columns hold {'; '.join(f'{column}: {few(held, 4)}' for column, held in values.items())}; name it with --column label=COLUMN",
        )
    return chosen[0]


def _subgroup_columns(lines: Sequence[Line], used: set[str]) -> tuple[str, ...]:
    """Return the columns that divide the cases into a few groups; ages always."""
    chosen = []
    for column in columns_of(lines):
        values = {line[column] for line in lines}
        if column in used or column.lower() in SPLIT_NAMES:
            continue
        if is_age(column) or _divides(values):
            chosen.append(column)
    return tuple(chosen)


def _divides(values: set[str]) -> bool:
    """Return whether values are names of groups: few, and if they are numbers whole and fewer (a score, not a measurement)."""
    said = {value for value in values if value.strip()}
    try:
        numbers = [float(value) for value in said]
    except ValueError:
        return 2 <= len(values) <= MOST_VALUES
    return 2 <= len(said) <= MOST_NUMBERS and all(number.is_integer() for number in numbers) and not any("." in value for value in said)


def is_age(column: str) -> bool:
    """Return whether a column holds ages in years."""
    return column.lower().replace(" ", "_") in {"age", "age_years", "patient_age", "patientage"}


def _known(column: str, lines: Sequence[Line], option: str) -> str:
    if column not in columns_of(lines):
        raise DataError("TABLE_COLUMN", f"expected {option} to name a column of {TABLE}, it has {columns_of(lines)}, got {column!r}")
    return column
