"""Importer of volumes with label maps (NIfTI, listed as in the Medical Segmentation Decathlon, or found by name);
marked ``origin=volume-folder``.

Every file of the dataset is accounted for: accepted, or quarantined with a reason. Files of one person stay together. Voxels are kept
as they are (axes brought to the patient's, nothing resampled): what a network sees is made when a cohort is opened.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import (
    Case,
    Cohort,
    CohortSet,
    CohortSpec,
    DataError,
    FileOutcome,
    IngestCode,
    IngestError,
    IngestReport,
    Outcome,
    Part,
    Ref,
    SourceError,
    Task,
    VolumeFolderData,
)
from medkd.cohorts.case_inputs import channel_key, with_rows
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
    require_classes,
    require_patient,
)
from medkd.cohorts.dataset_list import Pair, read_dataset, require_channels
from medkd.cohorts.folder_names import VOLUME_SUFFIXES, files_by_identifier, require_inside
from medkd.cohorts.label_values import LabelValues, ReadLabel
from medkd.memory_need import require_memory
from medkd.progress import progress_bar
from medkd.storage.store import Store
from medkd.volumes.onto_grid import corner_gap_mm
from medkd.volumes.orientation import Grid, read_nifti_images
from medkd.volumes.perceptual import perceptual_hash

ORIGIN = "volume-folder"
_LOG = logging.getLogger("medkd")
#: Image and label must lie on the same grid to this many mm at every corner.
SAME_GRID_MM = 0.01


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


@dataclass(frozen=True)
class _Folder:
    """What is imported: the folder, how it is read, its table (None where there is none), what its images are called, and where the shards go."""

    root: Path
    data: VolumeFolderData
    table: dict[str, Line] | None
    values: LabelValues
    channels: tuple[str, ...]
    stacked: bool
    store: Store
    key: str


def prepare_volume_folder(spec: CohortSpec, data: VolumeFolderData, root: Path, store: Store, *, progress: bool = False) -> CohortSet:
    """Import a folder and say which part is used as which subset: all arms and seeds share one cohort."""
    cohort, ledger = import_volume_folder(root / data.path, data, spec.task, store, key=f"cohorts/{spec.name}", progress=progress)
    return assign_subsets(spec, cohort, ledger, store)


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
        DataError: ``DATASET_UNREADABLE``, ``DATASET_CHANNELS``, ``TABLE_UNREADABLE``, ``TABLE_COLUMN``, ``TABLE_LABEL``, ``CASE_TWICE``, ``PATH_ESCAPE``,
            ``LABEL_VALUES`` when the folder's label maps do not keep one convention, ``PAIR_BY``, ``COHORT_EMPTY`` or, where
            the cases are split for training, ``CLASS_WITHOUT_LABEL``.
        LeakageError: when the table's own parts share a person.
    """
    dataset = read_dataset(root, data.dataset) if data.dataset is not None else None
    pairs = _found(root, data) if dataset is None else list(dataset.pairs)
    channels, stacked = (tuple(data.channels), False) if dataset is None else (dataset.channels, dataset.stacked)
    require_channels(channels, task, data.dataset or "data.channels")
    values = LabelValues(task, {} if dataset is None else dataset.labels)
    table = {line[data.id_column]: line for line in read_table(root, data)} if data.table is not None else None
    ledger: dict[str, FileOutcome] = _orphans(root, pairs)
    if table is not None:
        ledger |= _without_file(table, {pair.case for pair in pairs}, data)
    if data.where:
        pairs = [pair for pair in pairs if pair.case in (table or {})]
    _require_named_once(pairs, root)
    folder = _Folder(root, data, table, values, channels, stacked, store, key)
    accepted: list[_Volume] = []
    for pair in progress_bar(pairs[: data.most], title="import", unit="volume", enabled=progress):
        files = [name for name in (pair.image, pair.label, *pair.further) if name is not None]
        try:
            accepted.append(_import_pair(folder, pair))
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
        raise DataError("COHORT_EMPTY", f"expected readable volumes in {root.name}, none of {len(pairs)} could be used: {reasons(report)}")
    values.say()
    if whole is None:
        _require_classes(accepted, task)
    return _cohort(accepted, data, task, channels, name=root.name, whole=whole), report


def _require_classes(volumes: list[_Volume], task: Task) -> None:
    """Stop before training when a class occurs in no label of a segmentation."""
    values = frozenset[int]().union(*(volume.values for volume in volumes))
    if task.kind.is_dense and any(volume.has_mask for volume in volumes):
        held = f"the values {sorted(values)}"
        mend = "value 1 is the second class, and so on: correct the labels, or take the class off the task"
        require_classes(task.classes, values | {0}, cases=len(volumes), held=held, mend=mend)


def _found(root: Path, data: VolumeFolderData) -> list[Pair]:
    """Return the files of the image folder, each with the label map that bears its name."""
    folder = require_inside(root, data.images, "the recipe")
    if not folder.is_dir():
        raise SourceError("SOURCE_MISSING", f"expected a folder {data.images} in {root.name}, found none")
    labels = {} if data.masks is None else files_by_identifier(require_inside(root, data.masks, "the recipe"), VOLUME_SUFFIXES)
    further = list(data.channels.values())[1:]
    return [
        Pair(
            case,
            f"{data.images}/{name}",
            None if data.masks is None else f"{data.masks}/{labels.get(case, [name])[0]}",
            tuple(f"{other}/{name}" for other in further),
        )
        for case, names in sorted(files_by_identifier(folder, VOLUME_SUFFIXES).items())
        for name in names
    ]


def _require_named_once(pairs: list[Pair], root: Path) -> None:
    """Refuse two images of one name: which of them is the case is not to be guessed."""
    seen: dict[str, Pair] = {}
    for pair in pairs:
        first = seen.setdefault(pair.case, pair)
        if first is not pair:
            raise DataError(
                "CASE_TWICE", f"expected one image of each case in {root.name}, {pair.case!r} is {first.image} and {pair.image}; keep one"
            )


def _orphans(root: Path, pairs: list[Pair]) -> dict[str, FileOutcome]:
    """Return the files beside the pairs that belong to none: an image without a label, or a label without an image."""
    images = {name for pair in pairs for name in (pair.image, *pair.further)}
    labels = {pair.label for pair in pairs if pair.label is not None}
    found = {}
    for known, code in ((images, IngestCode.LABEL_MISSING), (labels, IngestCode.LABEL_WITHOUT_IMAGE)):
        for folder in sorted({Path(name).parent for name in known}):
            held = files_by_identifier(root / folder, VOLUME_SUFFIXES).values()
            for name in (f"{folder.as_posix()}/{file}" for files in held for file in files):
                if name not in images | labels:
                    found[name] = FileOutcome(
                        path=name, outcome=Outcome.QUARANTINED, code=code, evidence='{"what": "not listed in the dataset"}'
                    )
    return found


def _without_file(table: dict[str, Line], found: set[str], data: VolumeFolderData) -> dict[str, FileOutcome]:
    """Return the cases that the table lists and the folder lacks: a missing case must not be missed."""
    folder = data.images if data.dataset is None else data.dataset
    evidence = json.dumps({"what": f"listed in {data.table}, no such file in {folder}"})
    names = [f"{folder}/{identifier}" for identifier in table if identifier not in found]
    refused = {"outcome": Outcome.QUARANTINED, "code": IngestCode.LABEL_WITHOUT_IMAGE, "evidence": evidence}
    return {name: FileOutcome(path=name, **refused) for name in names}


def _read_images(folder: _Folder, pair: Pair) -> tuple[dict[str, NDArray[Any]], Grid]:
    """Return the images of a case, as a shard calls them, all on one grid."""
    images, grid = _read(folder.root, pair.image, IngestCode.LABEL_WITHOUT_IMAGE, len(folder.channels) if folder.stacked else 1)
    for name in pair.further:
        others, other_grid = _read(folder.root, name, IngestCode.LABEL_WITHOUT_IMAGE)
        _require_same_grid(grid, other_grid)
        images += others
    for image in images:
        _require_finite(image)
    names = folder.channels or ("",)
    return {channel_key("image", number, name): image for number, (name, image) in enumerate(zip(names, images, strict=True))}, grid


def _import_pair(folder: _Folder, pair: Pair) -> _Volume:
    root, data, table, values = folder.root, folder.data, folder.table, folder.values
    images, grid = _read_images(folder, pair)
    arrays = {name: torch.from_numpy(np.ascontiguousarray(image.astype(np.float32))) for name, image in images.items()}
    arrays["affine_lps_mm"] = torch.from_numpy(grid.affine_lps_mm)
    read: ReadLabel | None = None
    if pair.label is not None:
        (wanted,), label_grid = _read(root, pair.label, IngestCode.LABEL_MISSING)
        _require_same_grid(grid, label_grid)
        read = values.read(wanted)
        arrays["label"] = torch.from_numpy(np.ascontiguousarray(read.label))
    line = {} if table is None else table.get(pair.case)
    if line is None:
        raise IngestError(IngestCode.PATIENT_ID_MISSING, f"expected a line for the case {pair.case!r} in {data.table}, there is none")
    person = require_patient(line, data) if line else person_of(pair.case, str(data.patient_pattern))
    label = label_of(line, data, values.task)
    if read is not None:
        values.accept(pair.case, read)
    return _Volume(
        identifier=pair.case,
        person=person,
        line=line,
        label=label,
        has_mask=read is not None,
        shard=folder.store.write_tensors(f"{folder.key}/{case_key(pair.case)}.safetensors", arrays),
        pixel_sha256=hashlib.sha256(np.ascontiguousarray(images["image"]).tobytes()).hexdigest(),
        perceptual_hash=perceptual_hash(images["image"]),
        foreground=int((arrays["label"] > 0).sum()) if "label" in arrays else 0,
        values=frozenset(arrays["label"].unique().tolist()) if "label" in arrays else frozenset(),
    )


def _require_finite(voxels: NDArray[Any]) -> None:
    if not np.isfinite(voxels).all():
        bad = int((~np.isfinite(voxels)).sum())
        raise IngestError(IngestCode.NAN_OR_INF, f"expected finite voxels, {bad} of {voxels.size} are NaN or infinite")


def _read(root: Path, name: str, missing: IngestCode, count: int = 1) -> tuple[tuple[NDArray[Any], ...], Grid]:
    path = require_inside(root, name, "the folder")
    if not path.is_file():
        raise IngestError(missing, f"expected the file {name}, it is not there")
    try:
        _require_room(path)
        images, grid = read_nifti_images(path, count)
        if images[0].dtype.kind not in "biuf" or not images[0].size:
            raise ValueError(f"expected numbers, got {images[0].size} voxels of type {images[0].dtype}")
        if not np.isfinite(grid.affine_lps_mm).all() or np.linalg.det(grid.affine_lps_mm[:3, :3]) == 0:
            raise ValueError(f"expected an affine that places every voxel elsewhere, got {grid.affine_lps_mm[:3].tolist()}")
    except IngestError:
        raise
    except Exception as error:  # readers of broken files raise anything
        raise IngestError(
            IngestCode.UNREADABLE_HEADER, f"expected a readable NIfTI file ({type(error).__name__}: {str(error)[:120]})"
        ) from error
    return images, grid


def _require_room(path: Path) -> None:
    """Refuse a volume that could not be held: a header of a few bytes can promise any size."""
    header: Any = nibabel.load(path)
    # Voxels as they are stored, as float32, and the copies between them.
    require_memory(math.prod(int(extent) for extent in header.shape) * 16, f"the volume {path.name} of shape {tuple(header.shape)}")


def _require_same_grid(image: Grid, label: Grid) -> None:
    if image.shape != label.shape:
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected a label of shape {image.shape}, got {label.shape}")
    gap = corner_gap_mm(image, label)
    if gap > SAME_GRID_MM:
        raise IngestError(
            IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected the label on the image's grid, corners differ by {gap:.3f} mm", {"mm": gap}
        )


def person_of(identifier: str, patient_pattern: str) -> str:
    """Return whose file this is by a rule: ``odd-even`` (numbers 2k - 1 and 2k are one person) or a regular expression's first group.

    Raises:
        DataError: ``PAIR_BY`` when the rule finds nobody.
    """
    if patient_pattern == "odd-even":
        number = re.search(r"(\d+)(?!.*\d)", identifier)
        if number:
            return f"{identifier[: number.start()]}pair{(int(number.group(1)) + 1) // 2}"
    else:
        try:
            match = re.search(patient_pattern, identifier)
        except re.error as error:
            raise DataError("PAIR_BY", f"expected odd-even or a regular expression, {patient_pattern!r} is none ({error})") from error
        if match and match.groups() and match.group(1):
            return match.group(1)
    raise DataError("PAIR_BY", f"expected the rule {patient_pattern!r} to find the person of {identifier!r}, it finds none")


def _cohort(
    volumes: list[_Volume], data: VolumeFolderData, task: Task, channels: tuple[str, ...], *, name: str, whole: Part | None
) -> Cohort:
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
    named = named_parts([volume.line for volume in volumes], data)
    parts = [whole] * len(cases) if whole else assign_parts(people, strata, named, data)
    cohort = make_cohort(name, ORIGIN, task.classes, cases, parts).model_copy(update={"channels": channels})
    return cohort if whole else with_rows(cohort, [volume.line for volume in volumes], task, str(data.table))
