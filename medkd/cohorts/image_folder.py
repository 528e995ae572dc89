"""Importer of labelled image folders: a table of cases, pictures and masks found by id; marked ``origin=image-folder``.

Pictures carry no geometry: nothing in mm is ever reported of them. They are brought to the task's size by a resize that keeps
the aspect, padded with zeros at the bottom and right, and the padding is marked as not valid.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from data_contracts import (
    Case,
    Cohort,
    CohortSet,
    CohortSpec,
    DataError,
    FileOutcome,
    ImageFolderData,
    IngestCode,
    IngestError,
    IngestReport,
    Outcome,
    Part,
    Ref,
    Task,
)
from medkd.cohorts.case_inputs import with_rows
from medkd.cohorts.case_table import (
    Line,
    assign_parts,
    assign_subsets,
    case_key,
    label_of,
    make_cohort,
    named_parts,
    patient_key,
    read_table,
    reasons,
    require_patient,
)
from medkd.cohorts.folder_names import PICTURE_SUFFIXES, files_by_identifier, require_inside
from medkd.progress import progress_bar
from medkd.storage.store import Store
from medkd.volumes.burnt_in import without_burnt_in
from medkd.volumes.letterbox import letterbox, letterbox_mask
from medkd.volumes.perceptual import perceptual_hash

ORIGIN = "image-folder"
_LOG = logging.getLogger("medkd")
#: A picture of more pixels would fill the memory when it is unpacked.
MOST_PIXELS = 2**28


@dataclass(frozen=True)
class _Picture:
    """One readable case of the table, brought to the task's size."""

    line: Line
    label: int | None
    files: tuple[str, ...]
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    valid: NDArray[np.uint8]
    pixel_sha256: str
    perceptual_hash: str


def prepare_image_folder(spec: CohortSpec, data: ImageFolderData, root: Path, store: Store, *, progress: bool = False) -> CohortSet:
    """Import a folder and say which part is used as which subset: all arms and seeds share one cohort."""
    cohort, ledger = import_image_folder(root / data.path, data, spec.task, store, key=f"cohorts/{spec.name}", progress=progress)
    return assign_subsets(spec, cohort, ledger, store)


def import_image_folder(
    root: Path, data: ImageFolderData, task: Task, store: Store, *, key: str = "cohorts", whole: Part | None = None, progress: bool = False
) -> tuple[Cohort, IngestReport]:
    """Read table, pictures and masks into one shard of the store; return the cohort, split by patient, and the ledger of its files.

    Cases whose picture or mask is missing, unreadable or of another size are quarantined with the reason.

    Args:
        root: folder of table, pictures and masks.
        data: columns and folders.
        task: classes and picture size.
        store: where the shard goes.
        key: folder in the store.
        whole: put every case into this part instead of splitting.
        progress: show a bar.

    Raises:
        SourceError: ``SOURCE_MISSING`` when folder or table does not exist.
        DataError: ``TABLE_UNREADABLE``, ``TABLE_COLUMN``, ``TABLE_LABEL``, ``CASE_TWICE``, ``PATH_ESCAPE``, ``MASK_CLASSES`` (masks of
            pictures say lesion or not, so that a segmentation has two classes) or ``COHORT_EMPTY``.
        LeakageError: when the table's own parts share a patient.
    """
    if task.kind.is_dense and len(task.classes) != 2:
        raise DataError(
            "MASK_CLASSES", f"expected a task of two classes for pictures, whose masks say lesion or not, got {list(task.classes)}"
        )
    table = read_table(root, data)
    held = _held(root, data)
    pictures: list[_Picture] = []
    ledger: dict[str, FileOutcome] = {}
    for line in progress_bar(table, title="import", unit="image", enabled=progress):
        try:
            picture = _read_picture(line, root, held, data, task)
        except IngestError as error:
            refused = _files(held, line[data.id_column]) or (f"{data.images}/{line[data.id_column]}",)
            reason = {"outcome": Outcome.QUARANTINED, "code": error.ingest_code, "evidence": json.dumps({"what": str(error)})}
            ledger |= {name: FileOutcome(path=name, **reason) for name in refused}
            continue
        pictures.append(picture)
        ledger |= {name: FileOutcome(path=name, outcome=Outcome.ACCEPTED) for name in picture.files}
    report = IngestReport(files=tuple(ledger[name] for name in sorted(ledger)), series=())
    if len(pictures) < len(table):
        _LOG.warning("left out %d of %d cases: %s", len(table) - len(pictures), len(table), report.codes())
    if not pictures:
        raise DataError("COHORT_EMPTY", f"expected readable cases in {root.name}, none of {len(table)} is: {reasons(report)}")
    shard = store.write_tensors(
        f"{key}/all.safetensors",
        {
            "images": torch.from_numpy(np.stack([picture.image for picture in pictures])),
            "masks": torch.from_numpy(np.stack([np.zeros_like(p.image) if p.mask is None else p.mask for p in pictures])),
            "valid": torch.from_numpy(np.stack([picture.valid for picture in pictures])),
        },
    )
    return _cohort(pictures, shard, data, task, name=root.name, whole=whole), report


#: The files of the folders of pictures and masks, by the folder's name and the case's.
Held = dict[str, dict[str, list[str]]]


def _held(root: Path, data: ImageFolderData) -> Held:
    folders = [require_inside(root, folder, "the recipe") for folder in (data.images, data.masks) if folder is not None]
    named = [folder for folder in (data.images, data.masks) if folder is not None]
    return {name: files_by_identifier(folder, PICTURE_SUFFIXES) for name, folder in zip(named, folders, strict=True)}


def _files(held: Held, identifier: str) -> tuple[str, ...]:
    """Return the files of a case that exist, relative to the folder."""
    return tuple(f"{folder}/{name}" for folder, files in held.items() for name in files.get(identifier, ()))


def _read_picture(line: Line, root: Path, held: Held, data: ImageFolderData, task: Task) -> _Picture:
    identifier, label = line[data.id_column], label_of(line, data, task)
    require_patient(line, data)
    pixels = _read_grey(root, data.images, held, identifier, IngestCode.LABEL_WITHOUT_IMAGE)
    mask = None
    if data.masks is not None:
        mask = (_read_grey(root, data.masks, held, identifier, IngestCode.LABEL_MISSING) > 0).astype(np.uint8)
        if mask.shape != pixels.shape:
            raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected a mask of {pixels.shape} pixels, got {mask.shape}")
    rows, columns = task.image_size[-2:]
    image, valid = letterbox(without_burnt_in(pixels) if data.remove_artefacts else pixels, (rows, columns))
    small = None if mask is None else letterbox_mask(mask, (rows, columns))
    return _Picture(
        line=line,
        label=label,
        files=_files(held, identifier),
        image=image,
        mask=small,
        valid=valid,
        pixel_sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
        perceptual_hash=perceptual_hash(pixels),
    )


def _read_grey(root: Path, folder: str, held: Held, identifier: str, missing: IngestCode) -> NDArray[np.uint8]:
    names = held[folder].get(identifier, [])
    if not names:
        raise IngestError(missing, f"expected a picture of the case in {folder}, there is none")
    if len(names) > 1:
        raise IngestError(IngestCode.DUPLICATE_FILE, f"expected one picture of the case in {folder}, there are {names}")
    path = require_inside(root, f"{folder}/{names[0]}", folder)
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise IngestError(
                    IngestCode.DECODE_FAILED, f"expected at most {MOST_PIXELS} pixels, {names[0]} has {picture.width} x {picture.height}"
                )
            if picture.mode.startswith(("I", "F")) and missing is IngestCode.LABEL_WITHOUT_IMAGE:
                # Brought to 8 bits they would be cut at 255, and nothing would show it.
                raise IngestError(IngestCode.BITS_MISMATCH, f"expected a picture of 8 bits, {names[0]} has more (mode {picture.mode})")
            return np.asarray(picture.convert("L"))
    except IngestError:
        raise
    except Exception as error:  # decoders of broken pictures raise anything
        raise IngestError(IngestCode.DECODE_FAILED, f"expected a readable picture in {folder} ({type(error).__name__})") from error


def _cohort(pictures: list[_Picture], shard: Ref, data: ImageFolderData, task: Task, *, name: str, whole: Part | None) -> Cohort:
    cases = [
        Case(
            case_key=case_key(picture.line[data.id_column]),
            patient_key=patient_key(picture.line[data.patient_column]),
            image=shard,
            mask=shard if picture.mask is not None else None,
            label=picture.label,
            pixel_sha256=picture.pixel_sha256,
            perceptual_hash=picture.perceptual_hash,
            attributes={column: picture.line[column] for column in data.attribute_columns},
        )
        for picture in pictures
    ]
    people, strata = [picture.line[data.patient_column] for picture in pictures], [picture.label or 0 for picture in pictures]
    named = named_parts([picture.line for picture in pictures], data)
    parts = [whole] * len(cases) if whole else assign_parts(people, strata, named, data)
    cohort = make_cohort(name, ORIGIN, task.classes, cases, parts)
    return cohort if whole else with_rows(cohort, [picture.line for picture in pictures], task, data.table)
