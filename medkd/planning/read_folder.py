"""Folders of pictures, volumes and DICOM measured: the fingerprint that a recipe is planned from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from data_contracts import DataError, ImageFolderData, SourceError, Task, TaskKind, VolumeFolderData
from medkd.cohorts.case_table import Line, columns_of, read_lines
from medkd.cohorts.dataset_list import read_dataset
from medkd.cohorts.external_dataset import DATASET, LABEL_NAMES, TABLE, FolderHints, describe_folder
from medkd.cohorts.folder_names import PICTURE_SUFFIXES, VOLUME_SUFFIXES, few, files_by_identifier, identifier_of, require_inside
from medkd.planning.fingerprint import Fingerprint, Intensities, counted, spread
from medkd.planning.read_dicom import read_dicom

#: What columns that name a part are called, and values that mean the validation part.
_PARTS, _HELD = ("split", "part", "set"), ("val", "validation", "test")


@dataclass(frozen=True)
class PlanHints:
    """What the user says of a folder: the kind of task, and columns that are not recognised."""

    task: Literal["classification", "segmentation"] | None = None
    label_column: str | None = None
    patient_column: str | None = None
    patient_pattern: str | None = None
    id_column: str | None = None


def read_fingerprint(root: Path, hints: PlanHints) -> Fingerprint:
    """Measure a folder.

    Raises:
        SourceError: ``SOURCE_MISSING`` when there is no such folder, or nothing in it that can be read.
        DataError: as ``describe_folder``, ``read_dataset``; ``PLAN_CLASSES`` where the classes cannot be known.
    """
    if not root.is_dir():
        raise SourceError("SOURCE_MISSING", f"expected a folder, found none at {root}")
    if (root / DATASET).is_file() or _suffixes(root / "images", VOLUME_SUFFIXES) or _suffixes(root / "imagesTr", VOLUME_SUFFIXES):
        return _volumes(root, hints)
    if (root / TABLE).is_file():
        return _pictures(root, hints)
    return read_dicom(root)


def _suffixes(folder: Path, suffixes: Sequence[str]) -> bool:
    return folder.is_dir() and any(path.name.lower().endswith(tuple(suffixes)) for path in folder.iterdir())


def _pictures(root: Path, hints: PlanHints) -> Fingerprint:
    lines = read_lines(root / TABLE)
    column = _label_column(lines, hints)
    kind = hints.task or ("classification" if column else "segmentation")
    classes = (
        counted([line[column] for line in lines])
        if kind == "classification" and column
        else {"background": len(lines), "lesion": len(lines)}
    )
    if kind == "classification" and not column:
        raise DataError(
            "PLAN_CLASSES",
            f"expected a column {', '.join(LABEL_NAMES)} in {TABLE}, it has {columns_of(lines)}; name it with --column label=COLUMN",
        )
    task = Task(kind=TaskKind(kind), classes=tuple(classes), image_size=(64, 64))
    data = cast(
        ImageFolderData,
        describe_folder(root, task, FolderHints(hints.id_column, hints.patient_column, column if kind == "classification" else None)),
    )
    identifiers = [identifier_of(line[data.id_column]) for line in lines]
    shapes, values = _read_pictures(root, data, identifiers)
    return Fingerprint(
        source="image_folder",
        cases=len(lines),
        patients=len({line[data.patient_column] for line in lines}),
        shapes=shapes,
        spacings=np.zeros((0, 3)),
        classes=classes,
        frequencies={"lesion": values.frequency(255) + values.frequency(1)} if data.masks else {},
        masks=data.masks is not None,
        fields=_fields(root, data, lines),
        unknown=_meaning(classes) if kind == "classification" else (),
        **values.figures(),
    )


def _label_column(lines: Sequence[Line], hints: PlanHints) -> str | None:
    if hints.label_column is not None or hints.task == "segmentation":
        if hints.label_column is not None and hints.label_column not in columns_of(lines):
            raise DataError(
                "TABLE_COLUMN",
                f"expected --column label to name a column of {TABLE}, it has {columns_of(lines)}, got {hints.label_column!r}",
            )
        return hints.label_column
    fitting = [column for column in columns_of(lines) if column.lower() in LABEL_NAMES]
    if len(fitting) > 1:
        raise DataError("TABLE_COLUMN", f"expected one column that holds the class, {fitting} may; name it with --column label=COLUMN")
    return fitting[0] if fitting else None


def _read_pictures(root: Path, data: ImageFolderData, identifiers: Sequence[str]) -> tuple[NDArray[np.int64], Intensities]:
    from PIL import Image

    images = files_by_identifier(require_inside(root, data.images, "the folder"), PICTURE_SUFFIXES)
    masks = {} if data.masks is None else files_by_identifier(require_inside(root, data.masks, "the folder"), PICTURE_SUFFIXES)
    known = [name for name in identifiers if images.get(name)]
    if not known:
        raise SourceError("SOURCE_MISSING", f"expected pictures of the cases of {TABLE} in {data.images}, it holds {few(sorted(images))}")
    shapes = []
    for name in known:
        with Image.open(root / data.images / images[name][0]) as picture:
            shapes.append((picture.height, picture.width))
    values = Intensities()
    for place in spread(len(known)):
        name = known[place]
        with Image.open(root / data.images / images[name][0]) as picture:
            pixels = np.asarray(picture.convert("L"))
        mask = None
        if masks.get(name):
            with Image.open(root / str(data.masks) / masks[name][0]) as picture:
                mask = (np.asarray(picture.convert("L")) > 0).astype(np.uint8)
        values.add(pixels, mask if mask is not None and mask.shape == pixels.shape else None)
    return np.array(shapes, dtype=np.int64), values


def _fields(root: Path, data: ImageFolderData | VolumeFolderData, lines: Sequence[Line]) -> dict[str, Any]:
    """Return the fields of ``data`` of a recipe: those that differ from what is taken anyway."""
    named = {name: value for name, value in data.model_dump(mode="json", exclude_defaults=True).items() if value not in (None, [], {})}
    fields = {"kind": data.kind, **named, "path": root.name}
    for column in columns_of(lines) if lines else ():
        held = sorted({line[column] for line in lines} & set(_HELD))
        if column.lower() in _PARTS and held and len({line[column] for line in lines}) > 1:
            fields |= {"part_column": column, "validation_values": held}
    return fields


def _meaning(classes: dict[str, int]) -> tuple[str, ...]:
    first = next(iter(classes))
    return (f"Whether {first!r} is the negative class is not known: the first of `classes` is.",)


def _volumes(root: Path, hints: PlanHints) -> Fingerprint:
    table = read_lines(root / TABLE) if (root / TABLE).is_file() else []
    if hints.task == "classification":
        raise DataError(
            "PLAN_CLASSES",
            f"expected pictures to classify, {root.name} holds volumes; write their recipe with `medkd recipe new volumes`, got task classification",
        )
    listed = json.loads((root / DATASET).read_text(encoding="utf-8")) if (root / DATASET).is_file() else {}
    task = Task(kind=TaskKind.SEGMENTATION, classes=("background", "structure"), image_size=(16, 16, 16))
    data = cast(
        VolumeFolderData, describe_folder(root, task, FolderHints(hints.id_column, hints.patient_column, None, hints.patient_pattern))
    )
    pairs = _pairs(root, data)
    channels = () if data.dataset is None else read_dataset(root, data.dataset).channels
    shapes, spacings, values = _read_volumes(pairs)
    names = _class_names(listed, values)
    patients = len({line[data.patient_column] for line in table}) if table else None
    return Fingerprint(
        source="volume_folder",
        cases=len(pairs),
        patients=patients,
        shapes=shapes,
        spacings=spacings,
        classes=dict.fromkeys(names.values(), len(pairs)),
        frequencies={name: values.frequency(value) for value, name in names.items() if value > 0},
        modality=_modality(listed),
        channels=channels,
        fields=_fields(root, data, table),
        unknown=() if listed.get("labels") else ("What the values of the masks mean is not known: name the classes.",),
        **values.figures(),
    )


def _pairs(root: Path, data: VolumeFolderData) -> list[tuple[Path, Path]]:
    """Return image and label map of each case that has both."""
    if data.dataset is not None:
        found = [(root / pair.image, root / pair.label) for pair in read_dataset(root, data.dataset).pairs if pair.label is not None]
    else:
        images, masks = (files_by_identifier(root / str(folder), VOLUME_SUFFIXES) for folder in (data.images, data.masks))
        found = [
            (root / data.images / names[0], root / str(data.masks) / masks[name][0])
            for name, names in sorted(images.items())
            if name in masks
        ]
    there = [(image, label) for image, label in found if image.is_file() and label.is_file()]
    if not there:
        raise SourceError("SOURCE_MISSING", f"expected volumes with label maps in {root.name}, none of {len(found)} has both files")
    return there


def _read_volumes(pairs: Sequence[tuple[Path, Path]]) -> tuple[NDArray[np.int64], NDArray[np.float64], Intensities]:
    """Return shapes and spacings (slice, row, column of the patient's axes) of all volumes, and the intensities of some."""
    import nibabel

    shapes, spacings, values, read = [], [], Intensities(), set(spread(len(pairs)))
    for place, (image, mask) in enumerate(pairs):
        volume: Any = nibabel.as_closest_canonical(nibabel.load(image))
        shapes.append(volume.shape[2::-1])
        spacings.append(tuple(float(step) for step in volume.header.get_zooms()[2::-1]))
        if place in read:
            label: Any = nibabel.as_closest_canonical(nibabel.load(mask))
            known, voxels = np.asarray(label.dataobj), np.asarray(volume.dataobj)
            first = voxels[..., 0] if voxels.ndim == 4 else voxels
            values.add(first, known if known.shape == first.shape else None)
    return np.array(shapes, dtype=np.int64), np.array(spacings), values


def _class_names(listed: dict[str, Any], values: Intensities) -> dict[int, str]:
    """Return value → class, the background first; by the list, else by the values that masks hold."""
    labels = listed.get("labels")
    if isinstance(labels, dict) and labels:
        # The Decathlon says {"1": "liver"}, nnU-Net v2 {"liver": 1}.
        pairs = [
            (int(k), str(v)) if str(k).isdecimal() else (int(v), str(k))
            for k, v in labels.items()
            if str(k).isdecimal() or isinstance(v, int)
        ]
        return dict(sorted(pairs))
    found = sorted({value for share in values.shares for value in share})
    if not found:
        raise DataError("PLAN_CLASSES", f"expected masks with marked voxels, {len(values.shares)} that were read hold none")
    return {0: "background", **{value: f"structure_{value}" if len(found) > 1 else "structure" for value in found}}


def _modality(listed: dict[str, Any]) -> str:
    named = listed.get("channel_names", listed.get("modality", {}))
    values = list(named.values()) if isinstance(named, dict) else list(named) if isinstance(named, list) else []
    return str(values[0]).upper() if values else ""
