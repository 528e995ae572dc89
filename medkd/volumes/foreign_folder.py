"""What a folder holds that no recipe describes: its table, columns and files are recognised, or asked for by name; nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_contracts import DataError, ImageFolderData, SourceError, Task, TaskKind, VolumeFolderData
from medkd.volumes.case_table import FolderData, Line, read_lines

TABLE, DATASET = "cases.csv", "dataset.json"
PATIENT_NAMES = ("patient", "patient_id", "patientid", "subject", "subject_id", "person")
LABEL_NAMES = ("label", "class", "target", "diagnosis", "pathology")
#: Columns that say how a table was split; they describe no patient.
SPLIT_NAMES = ("split", "fold", "kfold", "part", "set")
#: A column with more values than this is no subgroup (ages are put into bands); of numbers, fewer: they are mostly measurements.
MOST_VALUES, MOST_NUMBERS = 12, 6


@dataclass(frozen=True)
class FolderHints:
    """What the user says of a folder: columns by name, the lines wanted, and the rule that tells people apart without a table."""

    id_column: str | None = None
    patient_column: str | None = None
    label_column: str | None = None
    pair_by: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)


def describe_folder(root: Path, task: Task, hints: FolderHints) -> FolderData:
    """Return how to import a folder for a task.

    Pictures: ``cases.csv`` beside ``images/`` and, where masks exist, ``masks/``. Volumes: ``dataset.json`` (optionally with
    ``cases.csv``), or ``cases.csv`` beside ``images/`` and ``masks/`` of NIfTI files.

    Raises:
        SourceError: ``SOURCE_MISSING`` when there is no such folder, table or list.
        DataError: ``TABLE_COLUMN`` when a column cannot be recognised; the sentence says which option names it.
    """
    if not root.is_dir():
        raise SourceError("SOURCE_MISSING", f"expected a folder, found none at {root}")
    table, dataset = (root / TABLE).is_file(), (root / DATASET).is_file()
    if not table and not (dataset and task.spatial_dims == 3):
        wanted = f"{TABLE} or {DATASET}" if task.spatial_dims == 3 else TABLE
        raise SourceError("SOURCE_MISSING", f"expected {wanted} in {root.name}, found no such file")
    if not table:
        if hints.pair_by is None:
            raise DataError(
                "TABLE_COLUMN", f"expected {TABLE} with a patient column in {root.name}, or --pair-by: whose each file is must be known"
            )
        return VolumeFolderData(path=".", pair_by=hints.pair_by)
    lines = read_lines(root / TABLE)
    masks = "masks" if (root / "masks").is_dir() else None
    columns: dict[str, Any] = {
        "table": TABLE,
        "id_column": _id_column(lines, root, hints, dataset=dataset and task.spatial_dims == 3),
        "patient_column": _patient_column(lines, hints),
        "label_column": _label_column(lines, task, hints) if task.kind is TaskKind.CLASSIFICATION else None,
        "where": dict(hints.where),
    }
    columns["attribute_columns"] = _subgroup_columns(
        lines, {str(columns[name]) for name in ("id_column", "patient_column", "label_column")}
    )
    listed = dataset and task.spatial_dims == 3
    if task.kind is TaskKind.SEGMENTATION and masks is None and not listed:
        raise SourceError("SOURCE_MISSING", f"expected a folder masks in {root.name} to score a segmentation, found none")
    if task.spatial_dims == 3:
        return VolumeFolderData(path=".", dataset=DATASET if listed else None, masks=masks, **columns)
    return ImageFolderData(path=".", masks=masks, **columns)


def _id_column(lines: Sequence[Line], root: Path, hints: FolderHints, *, dataset: bool) -> str:
    """Return the column whose values are names of files."""
    if hints.id_column is not None:
        return _known(hints.id_column, lines, "--id-column")
    folders = [root / "imagesTr", root / "images"] if dataset else [root / "images"]
    names = {path.name.split(".")[0] for folder in folders if folder.is_dir() for path in folder.iterdir()}
    fitting = [
        column
        for column in lines[0]
        if len({line[column] for line in lines}) == len(lines) and any(line[column] in names for line in lines)
    ]
    if len(fitting) != 1:
        raise DataError(
            "TABLE_COLUMN",
            f"expected one column of {TABLE} to hold the names of the files in {folders[-1].name}, {fitting or 'none'} does; name it with --id-column",
        )
    return fitting[0]


def _patient_column(lines: Sequence[Line], hints: FolderHints) -> str:
    if hints.patient_column is not None:
        return _known(hints.patient_column, lines, "--patient-column")
    fitting = [column for column in lines[0] if column.lower().replace(" ", "_") in PATIENT_NAMES]
    if not fitting:
        raise DataError(
            "TABLE_COLUMN",
            f"expected a column {', '.join(PATIENT_NAMES[:5])} in {TABLE}, it has {list(lines[0])}; name it with --patient-column (the file column, where each case is another patient)",
        )
    return min(fitting, key=lambda column: PATIENT_NAMES.index(column.lower().replace(" ", "_")))


def _label_column(lines: Sequence[Line], task: Task, hints: FolderHints) -> str:
    """Return the column that holds nothing but the task's classes."""
    if hints.label_column is not None:
        return _known(hints.label_column, lines, "--label-column")
    fitting = [column for column in lines[0] if {line[column] for line in lines} <= set(task.classes)]
    named = [column for column in fitting if column.lower() in LABEL_NAMES]
    chosen = named if len(named) == 1 else fitting
    if len(chosen) != 1:
        raise DataError(
            "TABLE_COLUMN",
            f"expected one column of {TABLE} to hold the classes {list(task.classes)}, {fitting or 'none'} does; name it with --label-column",
        )
    return chosen[0]


def _subgroup_columns(lines: Sequence[Line], used: set[str]) -> tuple[str, ...]:
    """Return the columns that divide the cases into a few groups; ages always."""
    chosen = []
    for column in lines[0]:
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
    if column not in lines[0]:
        raise DataError("TABLE_COLUMN", f"expected {option} to name a column of {TABLE}, it has {list(lines[0])}, got {column!r}")
    return column
