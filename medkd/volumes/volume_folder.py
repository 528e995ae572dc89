"""Importer of volumes with label maps (NIfTI, listed as in the Medical Segmentation Decathlon); marked ``origin=volume-folder``.

Every file of the dataset is accounted for: accepted, or quarantined with a reason. Files of one person stay together.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from data_contracts import (
    Case,
    Cohort,
    CohortSet,
    CohortUse,
    DataError,
    FileOutcome,
    IngestCode,
    IngestError,
    IngestReport,
    Outcome,
    Part,
    Recipe,
    Ref,
    SourceError,
    Split,
    Task,
    VolumeFolderData,
)
from medkd.progress import progress_bar
from medkd.volumes.orientation import Grid, read_nifti
from medkd.volumes.split import certify, split_by_patient
from medkd.volumes.store import Store, write_bytes

ORIGIN = "volume-folder"
_LOG = logging.getLogger("medkd")
#: Image and label must lie on the same grid to this many mm at every corner.
SAME_GRID_MM = 0.01


@dataclass(frozen=True)
class _Volume:
    """One accepted case: its file names, its person, what the table says of it, and its arrays [slice, row, column]."""

    identifier: str
    person: str
    part: str
    attributes: dict[str, str]
    shard: Ref
    pixel_sha256: str
    foreground: int


def prepare_volume_folder(recipe: Recipe, data: VolumeFolderData, root: Path, store: Store, *, progress: bool = False) -> CohortSet:
    """Import a folder and say which part serves which purpose: all arms and seeds share one cohort."""
    key = f"cohorts/{recipe.name}"
    cohort, report = import_volume_folder(root / data.path, data, recipe.task, store, key=key, progress=progress)
    write_bytes(store.root / f"{key}/import.json", report.canonical_json())
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


def import_volume_folder(
    root: Path, data: VolumeFolderData, task: Task, store: Store, *, key: str = "cohorts", progress: bool = False
) -> tuple[Cohort, IngestReport]:
    """Read every listed pair into the store and return the cohort, split by person, with the ledger of all files.

    Raises:
        SourceError: ``SOURCE_MISSING`` when folder, list or table does not exist.
        DataError: ``DATASET_UNREADABLE``, ``TABLE_COLUMN``, ``PAIR_BY`` or ``COHORT_EMPTY``.
        LeakageError: when the table's own parts share a person.
    """
    pairs, table = _read_dataset(root, data), _read_table(root, data)
    ledger: dict[str, FileOutcome] = _orphans(root, pairs)
    accepted: list[_Volume] = []
    for image, label in progress_bar(pairs[: data.most], title="import", unit="volume", enabled=progress):
        try:
            accepted.append(_import_pair(root, image, label, table, data=data, task=task, store=store, key=key))
            ledger |= {name: FileOutcome(path=name, outcome=Outcome.ACCEPTED) for name in (image, label)}
        except IngestError as error:
            evidence = json.dumps({"what": str(error), **error.evidence}, sort_keys=True, default=str)
            refused = {"outcome": Outcome.QUARANTINED, "code": error.ingest_code, "evidence": evidence}
            ledger |= {name: FileOutcome(path=name, **refused) for name in (image, label) if (root / name).is_file()}
    report = IngestReport(files=tuple(ledger[name] for name in sorted(ledger)), series=())
    refused_count = report.count(Outcome.QUARANTINED)
    if refused_count:
        _LOG.warning("quarantined %d of %d files: %s", refused_count, len(ledger), report.codes())
    if not accepted:
        raise DataError("COHORT_EMPTY", f"expected readable pairs of image and label in {root.name}, none of {len(pairs)} could be used")
    return _cohort(accepted, data, task, name=root.name), report


def _read_dataset(root: Path, data: VolumeFolderData) -> list[tuple[str, str]]:
    path = root / data.dataset
    if not path.is_file():
        raise SourceError(
            "SOURCE_MISSING", f"expected {data.dataset} in {root.name}, found no file (set MEDKD_DATA to the folder that holds it)"
        )
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["training"]
        return sorted((_relative(item["image"]), _relative(item["label"])) for item in listed)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            "DATASET_UNREADABLE", f"expected a list of images and labels under 'training' in {data.dataset}: {error!r}"
        ) from error


def _relative(name: str) -> str:
    plain = Path(str(name)).as_posix()
    if plain.startswith("/") or ".." in plain.split("/"):
        raise DataError("DATASET_UNREADABLE", f"expected file names below the dataset's folder, got {name!r}")
    return plain


def _read_table(root: Path, data: VolumeFolderData) -> dict[str, dict[str, str]]:
    if data.table is None:
        return {}
    path = root / data.table
    if not path.is_file():
        raise SourceError("SOURCE_MISSING", f"expected a table {data.table} in {root.name}, found no file")
    with path.open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    wanted = [data.id_column, data.patient_column, *data.attribute_columns, *([data.part_column] if data.part_column else [])]
    missing = [column for column in wanted if column not in (lines[0] if lines else {})]
    if missing:
        raise DataError("TABLE_COLUMN", f"expected the column {missing[0]!r} in {data.table}, it has {list(lines[0]) if lines else []}")
    return {line[data.id_column]: line for line in lines}


def _orphans(root: Path, pairs: list[tuple[str, str]]) -> dict[str, FileOutcome]:
    """Return the files beside the listed ones that nobody lists: an image without a label, or a label without an image."""
    images, labels = {image for image, _ in pairs}, {label for _, label in pairs}
    found = {}
    for listed, code in ((images, IngestCode.LABEL_MISSING), (labels, IngestCode.LABEL_WITHOUT_IMAGE)):
        for folder in sorted({Path(name).parent for name in listed}):
            for path in sorted((root / folder).glob("*.nii*")):
                name = path.relative_to(root).as_posix()
                if name not in images | labels:
                    found[name] = FileOutcome(
                        path=name, outcome=Outcome.QUARANTINED, code=code, evidence='{"what": "not listed in the dataset"}'
                    )
    return found


def _import_pair(
    root: Path, image: str, label: str, table: dict[str, dict[str, str]], *, data: VolumeFolderData, task: Task, store: Store, key: str
) -> _Volume:
    identifier = Path(image).name.split(".")[0]
    values, grid = _read(root, image, IngestCode.LABEL_WITHOUT_IMAGE)
    wanted, label_grid = _read(root, label, IngestCode.LABEL_MISSING)
    _require_same_grid(grid, label_grid)
    if not np.isfinite(values).all():
        raise IngestError(IngestCode.NAN_OR_INF, "expected finite voxels")
    known = np.unique(wanted)
    if not np.isin(known, np.arange(len(task.classes))).all():
        raise IngestError(IngestCode.UNKNOWN_SEGMENT, f"expected label values below {len(task.classes)}, got {known.tolist()[:9]}")
    shard = store.write_tensors(
        f"{key}/{identifier_key(identifier)}.safetensors",
        {
            "image": torch.from_numpy(np.ascontiguousarray(values.astype(np.float32))),
            "label": torch.from_numpy(np.ascontiguousarray(wanted.astype(np.uint8))),
            "affine_lps_mm": torch.from_numpy(grid.affine_lps_mm),
        },
    )
    line = table.get(identifier)
    if data.table is not None and line is None:
        raise IngestError(IngestCode.PATIENT_ID_MISSING, f"expected a line for the case in {data.table}, there is none")
    return _Volume(
        identifier=identifier,
        person=line[data.patient_column] if line else person_of(identifier, str(data.pair_by)),
        part=line[data.part_column] if line and data.part_column else "",
        attributes={column: line[column] for column in data.attribute_columns} if line else {},
        shard=shard,
        pixel_sha256=hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest(),
        foreground=int((wanted > 0).sum()),
    )


def _read(root: Path, name: str, missing: IngestCode) -> tuple[NDArray[Any], Grid]:
    if not (root / name).is_file():
        raise IngestError(missing, f"expected the file {name}, it is not there")
    try:
        return read_nifti(root / name)
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        raise IngestError(IngestCode.UNREADABLE_HEADER, f"expected a readable NIfTI file ({type(error).__name__})") from error


def _require_same_grid(image: Grid, label: Grid) -> None:
    if image.shape != label.shape:
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected a label of shape {image.shape}, got {label.shape}")
    corners = np.array([[i, j, k, 1.0] for i in (0, image.shape[0]) for j in (0, image.shape[1]) for k in (0, image.shape[2])])
    gap = float(np.abs(corners @ (image.affine_lps_mm - label.affine_lps_mm).T).max())
    if gap > SAME_GRID_MM:
        raise IngestError(
            IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected the label on the image's grid, corners differ by {gap:.3f} mm", {"mm": gap}
        )


def person_of(identifier: str, pair_by: str) -> str:
    """Return whose file this is by a rule: ``odd-even`` (numbers 2k - 1 and 2k are one person) or a regular expression's first group.

    Raises:
        DataError: ``PAIR_BY`` when the rule finds nobody.
    """
    if pair_by == "odd-even":
        number = re.search(r"(\d+)(?!.*\d)", identifier)
        if number:
            return f"{identifier[: number.start()]}pair{(int(number.group(1)) + 1) // 2}"
    else:
        match = re.search(pair_by, identifier)
        if match and match.groups():
            return match.group(1)
    raise DataError("PAIR_BY", f"expected the rule {pair_by!r} to find the person of {identifier!r}, it finds none")


def identifier_key(identifier: str) -> str:
    """Return the key of a case: a digest of its file's name, which may hold a name."""
    return f"c{hashlib.sha256(identifier.encode()).hexdigest()[:16]}"


def _cohort(volumes: list[_Volume], data: VolumeFolderData, task: Task, *, name: str) -> Cohort:
    cases = tuple(
        Case(
            case_key=identifier_key(volume.identifier),
            patient_key=f"p{hashlib.sha256(volume.person.encode()).hexdigest()[:16]}",
            image=volume.shard,
            mask=volume.shard,
            label=None,
            pixel_sha256=volume.pixel_sha256,
            attributes=volume.attributes,
        )
        for volume in volumes
    )
    parts = _parts(volumes, data)
    split = Split(
        parts={part: tuple(c.case_key for c, own in zip(cases, parts, strict=True) if own is part) for part in sorted(set(parts))}
    )
    return Cohort(name=name, origin=ORIGIN, classes=task.classes, cases=cases, split=split)


def _parts(volumes: list[_Volume], data: VolumeFolderData) -> list[Part]:
    """Return the part of each volume: the table's, or a split by person with sizes of foreground balanced."""
    people = [volume.person for volume in volumes]
    middle = float(np.median([volume.foreground for volume in volumes]))
    strata = [int(volume.foreground > middle) for volume in volumes]
    if data.part_column is None:
        return list(split_by_patient(people, strata, validation=0.2, seed=0))
    held = [volume.part in data.validation_values for volume in volumes]
    parts = [Part.VALIDATION if out else Part.TRAIN for out in held]
    if data.inner_validation == 0:
        return parts
    training = [index for index, out in enumerate(held) if not out]
    inner = split_by_patient([people[i] for i in training], [strata[i] for i in training], validation=data.inner_validation, seed=0)
    result = [Part.TEST] * len(volumes)
    for index, part in zip(training, inner, strict=True):
        result[index] = part
    return result
