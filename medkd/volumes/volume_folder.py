"""Importer of volumes with label maps (NIfTI, listed as in the Medical Segmentation Decathlon, or found by name);
marked ``origin=volume-folder``.

Every file of the dataset is accounted for: accepted, or quarantined with a reason. Files of one person stay together. Voxels are kept
as they are (axes brought to the patient's, nothing resampled): what a network sees is made when a cohort is opened.
"""

from __future__ import annotations

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
    Task,
    TaskKind,
    VolumeFolderData,
)
from medkd.progress import progress_bar
from medkd.volumes.case_table import (
    Line,
    assign_parts,
    case_key,
    label_of,
    make_cohort,
    patient_key,
    read_table,
    require_classes,
    serve_purposes,
)
from medkd.volumes.orientation import Grid, read_nifti
from medkd.volumes.perceptual import perceptual_hash
from medkd.volumes.store import Store

ORIGIN = "volume-folder"
_LOG = logging.getLogger("medkd")
#: Image and label must lie on the same grid to this many mm at every corner.
SAME_GRID_MM = 0.01

#: File names of an image and of its label map, where there is one.
Pair = tuple[str, str | None]


@dataclass(frozen=True)
class _Volume:
    """One accepted case: whose it is, what the table says of it, and its arrays [slice, row, column]."""

    identifier: str
    person: str
    line: Line
    label: int | None
    has_mask: bool
    shard: Ref
    pixel_sha256: str
    perceptual_hash: str
    foreground: int
    values: frozenset[int]


def prepare_volume_folder(recipe: Recipe, data: VolumeFolderData, root: Path, store: Store, *, progress: bool = False) -> CohortSet:
    """Import a folder and say which part serves which purpose: all arms and seeds share one cohort."""
    cohort, ledger = import_volume_folder(root / data.path, data, recipe.task, store, key=f"cohorts/{recipe.name}", progress=progress)
    return serve_purposes(recipe, cohort, ledger, store)


def import_volume_folder(
    root: Path, data: VolumeFolderData, task: Task, store: Store, *, key: str = "cohorts", whole: Part | None = None, progress: bool = False
) -> tuple[Cohort, IngestReport]:
    """Read every pair into the store and return the cohort, split by person, with the ledger of all files.

    Args:
        root: folder of the dataset.
        data: list, table, columns.
        task: classes; label values are their indices.
        store: where the shards go.
        key: folder in the store.
        whole: put every case into this part instead of splitting.
        progress: show a bar.

    Raises:
        SourceError: ``SOURCE_MISSING`` when folder, list or table does not exist.
        DataError: ``DATASET_UNREADABLE``, ``TABLE_UNREADABLE``, ``TABLE_COLUMN``, ``TABLE_LABEL``, ``PAIR_BY``, ``COHORT_EMPTY`` or, where
            the cases are split for training, ``CLASS_WITHOUT_LABEL``.
        LeakageError: when the table's own parts share a person.
    """
    pairs = _listed(root, data) if data.dataset is not None else _found(root, data)
    table = {line[data.id_column]: line for line in read_table(root, data)} if data.table is not None else None
    ledger: dict[str, FileOutcome] = _orphans(root, pairs)
    if data.dataset is None and table is not None:
        ledger |= _without_file(table, {identifier_of(image) for image, _ in pairs}, data)
    if data.where:
        pairs = [(image, label) for image, label in pairs if identifier_of(image) in (table or {})]
    accepted: list[_Volume] = []
    for image, label in progress_bar(pairs[: data.most], title="import", unit="volume", enabled=progress):
        files = [name for name in (image, label) if name is not None]
        try:
            accepted.append(_import_pair(root, (image, label), table, data=data, task=task, store=store, key=key))
            ledger |= {name: FileOutcome(path=name, outcome=Outcome.ACCEPTED) for name in files}
        except IngestError as error:
            evidence = json.dumps({"what": str(error), **error.evidence}, sort_keys=True, default=str)
            refused = {"outcome": Outcome.QUARANTINED, "code": error.ingest_code, "evidence": evidence}
            ledger |= {name: FileOutcome(path=name, **refused) for name in files if (root / name).is_file()}
    report = IngestReport(files=tuple(ledger[name] for name in sorted(ledger)), series=())
    refused_count = report.count(Outcome.QUARANTINED)
    if refused_count:
        _LOG.warning("quarantined %d of %d files: %s", refused_count, len(ledger), report.codes())
    if not accepted:
        raise DataError("COHORT_EMPTY", f"expected readable volumes in {root.name}, none of {len(pairs)} could be used: {report.codes()}")
    if whole is None:
        _require_classes(accepted, task)
    return _cohort(accepted, data, task, name=root.name, whole=whole), report


def _require_classes(volumes: list[_Volume], task: Task) -> None:
    """Stop before training when a class occurs in no label of a segmentation."""
    values = frozenset[int]().union(*(volume.values for volume in volumes))
    if task.kind is TaskKind.SEGMENTATION and any(volume.has_mask for volume in volumes):
        held = f"the values {sorted(values)}"
        mend = "value 1 is the second class, and so on: correct the labels, or take the class off the task"
        require_classes(task.classes, values | {0}, cases=len(volumes), held=held, mend=mend)


def _listed(root: Path, data: VolumeFolderData) -> list[Pair]:
    path = root / str(data.dataset)
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


def _found(root: Path, data: VolumeFolderData) -> list[Pair]:
    """Return the files of the image folder, each with the label map that bears its name."""
    if not (root / data.images).is_dir():
        raise SourceError("SOURCE_MISSING", f"expected a folder {data.images} in {root.name}, found none")
    names = sorted(path.name for path in (root / data.images).glob("*.nii*"))
    labels = {identifier_of(path.name): path.name for path in (root / data.masks).glob("*.nii*")} if data.masks else {}
    return [
        (f"{data.images}/{name}", None if data.masks is None else f"{data.masks}/{labels.get(identifier_of(name), name)}") for name in names
    ]


def identifier_of(name: str) -> str:
    """Return what a file is called without its folder and suffixes."""
    return Path(name).name.split(".")[0]


def _relative(name: str) -> str:
    plain = Path(str(name)).as_posix()
    if plain.startswith("/") or ".." in plain.split("/"):
        raise DataError("DATASET_UNREADABLE", f"expected file names below the dataset's folder, got {name!r}")
    return plain


def _orphans(root: Path, pairs: list[Pair]) -> dict[str, FileOutcome]:
    """Return the files beside the pairs that belong to none: an image without a label, or a label without an image."""
    images, labels = {image for image, _ in pairs}, {label for _, label in pairs if label is not None}
    found = {}
    for known, code in ((images, IngestCode.LABEL_MISSING), (labels, IngestCode.LABEL_WITHOUT_IMAGE)):
        for folder in sorted({Path(name).parent for name in known}):
            for path in sorted((root / folder).glob("*.nii*")):
                name = path.relative_to(root).as_posix()
                if name not in images | labels:
                    found[name] = FileOutcome(
                        path=name, outcome=Outcome.QUARANTINED, code=code, evidence='{"what": "not listed in the dataset"}'
                    )
    return found


def _without_file(table: dict[str, Line], found: set[str], data: VolumeFolderData) -> dict[str, FileOutcome]:
    """Return the cases that the table lists and the folder lacks: a missing case must not be missed."""
    evidence = json.dumps({"what": f"listed in {data.table}, no such file in {data.images}"})
    names = [f"{data.images}/{identifier}" for identifier in table if identifier not in found]
    refused = {"outcome": Outcome.QUARANTINED, "code": IngestCode.LABEL_WITHOUT_IMAGE, "evidence": evidence}
    return {name: FileOutcome(path=name, **refused) for name in names}


def _import_pair(
    root: Path, pair: Pair, table: dict[str, Line] | None, *, data: VolumeFolderData, task: Task, store: Store, key: str
) -> _Volume:
    image, label = pair
    identifier = identifier_of(image)
    values, grid = _read(root, image, IngestCode.LABEL_WITHOUT_IMAGE)
    if not np.isfinite(values).all():
        raise IngestError(IngestCode.NAN_OR_INF, "expected finite voxels")
    arrays = {
        "image": torch.from_numpy(np.ascontiguousarray(values.astype(np.float32))),
        "affine_lps_mm": torch.from_numpy(grid.affine_lps_mm),
    }
    if label is not None:
        wanted, label_grid = _read(root, label, IngestCode.LABEL_MISSING)
        _require_same_grid(grid, label_grid)
        _require_known_values(wanted, task)
        arrays["label"] = torch.from_numpy(np.ascontiguousarray(wanted.astype(np.uint8)))
    line = {} if table is None else table.get(identifier)
    if line is None:
        raise IngestError(IngestCode.PATIENT_ID_MISSING, f"expected a line for the case in {data.table}, there is none")
    return _Volume(
        identifier=identifier,
        person=line[data.patient_column] if line else person_of(identifier, str(data.pair_by)),
        line=line,
        label=label_of(line, data, task),
        has_mask=label is not None,
        shard=store.write_tensors(f"{key}/{case_key(identifier)}.safetensors", arrays),
        pixel_sha256=hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest(),
        perceptual_hash=perceptual_hash(values),
        foreground=int((arrays["label"] > 0).sum()) if "label" in arrays else 0,
        values=frozenset(arrays["label"].unique().tolist()) if "label" in arrays else frozenset(),
    )


def _require_known_values(wanted: NDArray[Any], task: Task) -> None:
    """A segmentation's values are its class indices; a classification's mask says lesion or not."""
    known, most = np.unique(wanted), len(task.classes) if task.kind is TaskKind.SEGMENTATION else 256
    if not np.isin(known, np.arange(most)).all():
        raise IngestError(IngestCode.UNKNOWN_SEGMENT, f"expected label values below {most}, got {known.tolist()[:9]}")


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


def _cohort(volumes: list[_Volume], data: VolumeFolderData, task: Task, *, name: str, whole: Part | None) -> Cohort:
    cases = [
        Case(
            case_key=case_key(volume.identifier),
            patient_key=patient_key(volume.person),
            image=volume.shard,
            mask=volume.shard if volume.has_mask else None,
            label=volume.label,
            pixel_sha256=volume.pixel_sha256,
            perceptual_hash=volume.perceptual_hash,
            attributes={column: volume.line[column] for column in data.attribute_columns if column in volume.line},
        )
        for volume in volumes
    ]
    people = [volume.person for volume in volumes]
    middle = float(np.median([volume.foreground for volume in volumes]))
    strata = [int(v.foreground > middle) if v.label is None else v.label for v in volumes]
    named = [volume.line[data.part_column] if data.part_column else "" for volume in volumes]
    parts = [whole] * len(cases) if whole else assign_parts(people, strata, named, data)
    return make_cohort(name, ORIGIN, task.classes, cases, parts)
