"""Importer of labelled image folders: a table of cases, pictures and masks found by id; marked ``origin=image-folder``.

Pictures carry no geometry: nothing in mm is ever reported of them. They are brought to the task's size by a resize that keeps
the aspect, padded with zeros at the bottom and right, and the padding is marked as not valid.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from data_contracts import Case, Cohort, CohortSet, CohortUse, DataError, ImageFolderData, Part, Recipe, Ref, SourceError, Split, Task
from medkd.progress import progress_bar
from medkd.volumes.split import certify, split_by_patient
from medkd.volumes.store import Store, write_bytes

ORIGIN = "image-folder"
_LOG = logging.getLogger("medkd")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif")


@dataclass(frozen=True)
class _Row:
    """One readable case of the table, brought to the task's size."""

    identifier: str
    patient: str
    label: int
    part: str
    attributes: dict[str, str]
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    valid: NDArray[np.uint8]
    pixel_sha256: str


def prepare_image_folder(recipe: Recipe, data: ImageFolderData, root: Path, store: Store, *, progress: bool = False) -> CohortSet:
    """Import a folder and say which part serves which purpose: all arms and seeds share one cohort."""
    key = f"cohorts/{recipe.name}"
    cohort = import_image_folder(root / data.path, data, recipe.task, store, key=key, progress=progress)
    payload = cohort.canonical_json()
    write_bytes(store.root / f"{key}/all.json", payload)
    ref = Ref(store=store.name, key=f"{key}/all.json", sha256=hashlib.sha256(payload).hexdigest())
    held = Part.TEST if Part.TEST in cohort.split.parts else Part.VALIDATION
    uses = {
        "teacher_train": CohortUse(cohort=ref, part=Part.TRAIN),
        "teacher_validation": CohortUse(cohort=ref, part=Part.VALIDATION),
        "test": CohortUse(cohort=ref, part=held),
        **{f"student_train/{seed}": CohortUse(cohort=ref, part=Part.TRAIN) for seed in recipe.seeds},
    }
    return CohortSet(uses=uses, certificates=(certify(cohort),))


def import_image_folder(
    root: Path, data: ImageFolderData, task: Task, store: Store, *, key: str = "cohorts", progress: bool = False
) -> Cohort:
    """Read table, pictures and masks into one shard of the store and return the cohort, split by patient.

    Cases whose picture or mask is missing, unreadable or of another size are left out, counted and named in the log.

    Raises:
        SourceError: ``SOURCE_MISSING`` when folder or table does not exist.
        DataError: ``TABLE_COLUMN``, ``TABLE_LABEL`` or ``COHORT_EMPTY``.
        LeakageError: when the table's own parts share a patient.
    """
    table = _read_table(root, data)
    rows, left_out = [], []
    for line in progress_bar(table, title="import", unit="image", enabled=progress):
        try:
            rows.append(_read_row(line, root, data, task))
        except _LeftOut as reason:
            left_out.append(f"{line[data.id_column]}: {reason}")
    if left_out:
        _LOG.warning("left out %d of %d cases, the first: %s", len(left_out), len(table), left_out[0])
    if not rows:
        raise DataError("COHORT_EMPTY", f"expected readable cases in {root.name}, all {len(table)} were left out, the first: {left_out[0]}")
    shard = store.write_tensors(
        f"{key}/all.safetensors",
        {
            "images": torch.from_numpy(np.stack([row.image for row in rows])),
            "masks": torch.from_numpy(np.stack([np.zeros_like(row.image) if row.mask is None else row.mask for row in rows])),
            "valid": torch.from_numpy(np.stack([row.valid for row in rows])),
        },
    )
    return _cohort(rows, shard, data, task, name=root.name)


class _LeftOut(Exception):
    """One case cannot be used; its text is the reason."""


def _read_table(root: Path, data: ImageFolderData) -> list[dict[str, str]]:
    path = root / data.table
    if not path.is_file():
        raise SourceError(
            "SOURCE_MISSING",
            f"expected a table {data.table} in {root}, found no file (set MEDKD_DATA to the folder that holds {data.path})",
        )
    with path.open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    wanted = [
        data.id_column,
        data.patient_column,
        data.label_column,
        *data.attribute_columns,
        *([data.part_column] if data.part_column else []),
    ]
    present = list(lines[0]) if lines else []
    missing = [column for column in wanted if column not in present]
    if missing:
        raise DataError("TABLE_COLUMN", f"expected the column {missing[0]!r} in {data.table}, it has {present}")
    return lines


def _read_row(line: dict[str, str], root: Path, data: ImageFolderData, task: Task) -> _Row:
    identifier = line[data.id_column]
    label = line[data.label_column]
    if label not in task.classes:
        raise DataError(
            "TABLE_LABEL", f"expected a label among {task.classes} in column {data.label_column!r}, case {identifier} has {label!r}"
        )
    pixels = _read_grey(root / data.images, identifier)
    mask = None
    if data.masks is not None:
        mask = (_read_grey(root / data.masks, identifier) > 0).astype(np.uint8)
        if mask.shape != pixels.shape:
            raise _LeftOut(f"mask of {mask.shape} on an image of {pixels.shape} pixels")
    image, valid = _letterbox(pixels, task.image_size, Image.Resampling.BOX)
    small = None
    if mask is not None:
        # A pixel belongs to the lesion when more than half of the pixels it stands for do.
        small = (_letterbox(mask * 255, task.image_size, Image.Resampling.BOX)[0] > 127).astype(np.uint8)
    return _Row(
        identifier=identifier,
        patient=line[data.patient_column],
        label=task.classes.index(label),
        part=line[data.part_column] if data.part_column else "",
        attributes={column: line[column] for column in data.attribute_columns},
        image=image,
        mask=small,
        valid=valid,
        pixel_sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
    )


def _read_grey(folder: Path, identifier: str) -> NDArray[np.uint8]:
    path = next((folder / f"{identifier}{suffix}" for suffix in _SUFFIXES if (folder / f"{identifier}{suffix}").is_file()), None)
    if path is None:
        raise _LeftOut(f"no picture in {folder.name}")
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L"))
    except (UnidentifiedImageError, OSError) as error:
        raise _LeftOut(f"unreadable picture in {folder.name} ({type(error).__name__})") from error


def _letterbox(
    pixels: NDArray[np.uint8], size: tuple[int, int], resampling: Image.Resampling
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize keeping the aspect, pad with zeros at the bottom and right; return pixels and where they are real."""
    scale = min(size[0] / pixels.shape[0], size[1] / pixels.shape[1])
    rows, columns = max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
    small = np.asarray(Image.fromarray(pixels).resize((columns, rows), resampling))
    image, valid = np.zeros(size, dtype=np.uint8), np.zeros(size, dtype=np.uint8)
    image[:rows, :columns], valid[:rows, :columns] = small, 1
    return image, valid


def _cohort(rows: list[_Row], shard: Ref, data: ImageFolderData, task: Task, *, name: str) -> Cohort:
    keys = [_key("c", row.identifier) for row in rows]
    cases = tuple(
        Case(
            case_key=key,
            patient_key=_key("p", row.patient),
            image=shard,
            mask=shard if row.mask is not None else None,
            label=row.label,
            pixel_sha256=row.pixel_sha256,
            attributes=row.attributes,
        )
        for key, row in zip(keys, rows, strict=True)
    )
    parts = _parts(rows, data)
    split = Split(parts={part: tuple(key for key, own in zip(keys, parts, strict=True) if own is part) for part in sorted(set(parts))})
    return Cohort(name=name, origin=ORIGIN, classes=task.classes, cases=cases, split=split)


def _parts(rows: list[_Row], data: ImageFolderData) -> list[Part]:
    """Return the part of each row: the table's where it has one, and an inner validation part cut from training by patient."""
    patients, labels = [row.patient for row in rows], [row.label for row in rows]
    if data.part_column is None:
        return list(split_by_patient(patients, labels, validation=0.2, seed=0))
    held = [row.part in data.validation_values for row in rows]
    if data.inner_validation == 0:
        return [Part.VALIDATION if out else Part.TRAIN for out in held]
    training = [index for index, out in enumerate(held) if not out]
    inner = split_by_patient([patients[i] for i in training], [labels[i] for i in training], validation=data.inner_validation, seed=0)
    parts = [Part.TEST] * len(rows)
    for index, part in zip(training, inner, strict=True):
        parts[index] = part
    return parts


def _key(kind: str, identifier: str) -> str:
    return f"{kind}{hashlib.sha256(identifier.encode()).hexdigest()[:16]}"
