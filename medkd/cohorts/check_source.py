"""Whether a recipe's data are there as it says: folder, list, table, columns, labels and names of files, before anything is imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data_contracts import (
    Data,
    DataError,
    DicomData,
    ImageFolderData,
    MedkdError,
    PhantomData,
    SourceError,
    Task,
    VolumeFolderData,
)
from medkd.cohorts.case_inputs import read_row
from medkd.cohorts.case_table import FolderData, Line, label_of, missing_columns, read_lines, read_table
from medkd.cohorts.dataset_list import read_dataset, require_channels
from medkd.cohorts.folder_names import PICTURE_SUFFIXES, VOLUME_SUFFIXES, few, files_by_identifier, identifier_of, require_inside
from medkd.cohorts.prepare import data_folder

#: A field of a recipe's data, and what is wrong with what it names.
Problem = tuple[str, MedkdError]


def source_problems(data: Data, task: Task | None, data_root: Path) -> Iterator[Problem]:
    """Yield what keeps a recipe's data from being read, each with the field of ``data`` that names it. No image is opened.

    Args:
        data: where cases come from.
        task: classes that labels are among; None where it cannot be read.
        data_root: folder that ``data.path`` is relative to.
    """
    if isinstance(data, PhantomData):
        return
    try:
        root = data_folder(data, data_root)
    except MedkdError as error:
        yield "path", error
        return
    if root is not None:
        yield from _dicom(data, task, root) if isinstance(data, DicomData) else _folder(data, task, root)


def _dicom(data: DicomData, task: Task | None, root: Path) -> Iterator[Problem]:
    # Imported here: only a recipe on DICOM pays for the readers.
    from medkd.cohorts.dicom_cohort import check_segments

    try:
        if task is not None:
            check_segments(task, data)
    except MedkdError as error:
        yield "segments", error
    if not any(path.is_file() for path in root.rglob("*")):
        yield "path", SourceError("SOURCE_MISSING", f"expected DICOM in {data.path}, got a folder without a file")


def _folder(data: FolderData, task: Task | None, root: Path) -> Iterator[Problem]:
    lines: list[Line] = []
    if data.table is not None:
        problems = list(_table(data, root))
        yield from problems
        if not problems:
            lines = read_table(root, data)
            yield from () if task is None else _labels(lines, data, task)
            yield from () if task is None else _rows(lines, data, task)
    elif task is not None and task.clinical:
        yield "table", DataError("TABLE_COLUMN", f"expected a table with the clinical columns {list(task.clinical)}, data.table is null")
    if isinstance(data, VolumeFolderData) and data.dataset is not None:
        try:
            channels = read_dataset(root, data.dataset).channels
            if task is not None:
                require_channels(channels, task, data.dataset)
        except MedkdError as error:
            yield "dataset", error
        return
    if isinstance(data, ImageFolderData) and task is not None and task.kind.is_dense and data.masks is None:
        yield "masks", DataError("MASK_CLASSES", "expected a folder of masks for a segmentation, got data.masks: null")
    suffixes = PICTURE_SUFFIXES if isinstance(data, ImageFolderData) else VOLUME_SUFFIXES
    for field, name in (("images", data.images), ("masks", data.masks)):
        if name is not None:
            yield from _files(root, field, name, suffixes, [line[data.id_column] for line in lines])


def _rows(lines: list[Line], data: FolderData, task: Task) -> Iterator[Problem]:
    """Yield the first thing that is wrong with the clinical rows of a table."""
    try:
        for line in lines:
            read_row(line, task, str(data.table))
    except MedkdError as error:
        yield "table", error


def _table(data: FolderData, root: Path) -> Iterator[Problem]:
    """Yield what is wrong with the table: every column that it lacks, or what its reader refuses."""
    try:
        lines = read_lines(require_inside(root, str(data.table), "the recipe"))
    except MedkdError as error:
        yield "table", error
        return
    missing = list(missing_columns(lines, data))
    yield from missing
    if not missing:
        try:
            read_table(root, data)
        except MedkdError as error:
            yield "where" if error.code == "COHORT_EMPTY" else "table", error


def _labels(lines: list[Line], data: FolderData, task: Task) -> Iterator[Problem]:
    """Yield the first label that is none of the task's classes: a wrong column has as many as lines."""
    try:
        for line in lines:
            label_of(line, data, task)
    except MedkdError as error:
        yield "label_column", error


def _files(root: Path, field: str, folder: str, suffixes: tuple[str, ...], cases: list[str]) -> Iterator[Problem]:
    """Yield a folder that is not there, or holds no file of any case that the table names."""
    try:
        place = require_inside(root, folder, "the recipe")
    except MedkdError as error:
        yield field, error
        return
    if not place.is_dir():
        yield (
            field,
            SourceError(
                "SOURCE_MISSING", f"expected a folder {folder} in {root.name}, it holds {few(sorted(p.name for p in root.iterdir()))}"
            ),
        )
        return
    held = files_by_identifier(place, suffixes)
    # One case is enough here: the import goes through them file by file.
    if not held or (cases and not any(identifier_of(case) in held for case in cases)):
        wanted = few(cases) if cases else f"files that end in {' or '.join(suffixes)}"
        yield (
            field,
            DataError(
                "COHORT_EMPTY", f"expected {wanted} in {root.name}/{folder}, it holds {few(sorted(p.name for p in place.iterdir()))}"
            ),
        )
