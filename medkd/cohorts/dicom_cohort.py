"""DICOM studies as the cohort of a recipe: ingested, verified, labelled, split by patient."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import (
    Case,
    Cohort,
    CohortSet,
    CohortSpec,
    DataError,
    DicomData,
    IngestCode,
    IngestError,
    IngestReport,
    Part,
    RecipeError,
    Ref,
    SeriesRecord,
    StoreManifest,
    Task,
    TaskKind,
    VolumeRef,
)
from medkd.cohorts.case_table import assign_subsets, make_cohort, require_classes
from medkd.cohorts.dataset_list import require_channels
from medkd.cohorts.dicom_pictures import CasePicture, frames_as_cases, keep_pictures
from medkd.cohorts.dicom_series import with_coordinates, write_images
from medkd.cohorts.shards import LABEL, PICTURE, SYNTHETIC
from medkd.cohorts.split import split_by_patient
from medkd.dicom.case_images import CaseImages, images_of_cases
from medkd.dicom.confidentiality.secret import site_secret
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
from medkd.dicom.ingest_cache import read_manifest
from medkd.dicom.labels.classes import ClassChooser, combine_classes, read_structures
from medkd.dicom.labels.names import normal_name
from medkd.storage.store import Store, write_bytes
from medkd.storage.workspace import Workspace

ORIGIN = "dicom"
#: Folder of the stores of ingestions, inside the run's store: a cohort refers to what lies in them.
INGESTED = "ingested"
_LOG = logging.getLogger("medkd")


@dataclass
class _Found:
    """What the labels of a cohort hold: written beside it, so that nobody has to guess what a class was made of.

    Attributes:
        cases: case → structures (name, class, voxels, source) and overlaps (winner, loser, voxels).
        refused: volume → code and sentence, for those with a label that cannot be used.
        names: every name that a label holds → number of volumes.
        voxels: class index → voxels in all cases.
    """

    cases: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    names: Counter[str] = field(default_factory=Counter)
    voxels: Counter[int] = field(default_factory=Counter)

    def refuse(self, key: str, code: str, what: str) -> None:
        self.refused[key] = {"code": code, "what": what}

    def codes(self) -> dict[str, int]:
        return dict(sorted(Counter(entry["code"] for entry in self.refused.values()).items()))

    def said_names(self) -> str:
        return (
            ", ".join(f"{name!r} ({count})" for name, count in sorted(self.names.items(), key=lambda pair: (-pair[1], pair[0]))) or "none"
        )


def ingested_folder(workspace: Workspace, recipe: str) -> Path:
    """Return the store that the DICOM data of a recipe are ingested into."""
    return workspace.store.root / INGESTED / recipe


def prepare_dicom(spec: CohortSpec, data: DicomData, workspace: Workspace, report: IngestReport) -> CohortSet:
    """Say which part of what was ingested is used as which subset: all arms and seeds share one cohort.

    Volumes stay where the ingestion put them (:func:`ingested_folder`); only labels, which the task decides about, are written.

    ``cohorts/NAME/labels.json`` says per case which structures its label was made of, which overlap and which one wins.

    Raises:
        RecipeError: ``SEGMENTS_UNKNOWN_CLASS`` when ``segments`` names a class that the task does not have.
        DataError: ``COHORT_EMPTY`` when no volume has a usable label, ``CLASS_WITHOUT_LABEL`` when a class occurs in none.
    """
    cases, strata, found = _labelled(spec.name, spec.task, data, workspace.store, report)
    _require_classes(spec.task, cases, found)
    if spec.task.kind.is_dense:
        middle = float(np.median(strata))
        strata = [int(count > middle) for count in strata]
    cohort = make_cohort(spec.name, ORIGIN, spec.task.classes, cases, _parts(_by_content(cases), strata, data))
    return assign_subsets(spec, _with_channels(cohort, data), report, workspace.store)


def _with_channels(cohort: Cohort, data: DicomData) -> Cohort:
    return cohort.model_copy(update={"channels": tuple(data.channels)}) if data.channels else cohort


def import_dicom(root: Path, data: DicomData, task: Task, store: Store, *, key: str, progress: bool = False) -> tuple[Cohort, IngestReport]:
    """Ingest a folder and return every labelled image of it as a test case, with what became of each file.

    Nothing is split: all of it is new to the model that is asked about it. What the headers say of the patient and the acquisition, as far as
    it may be kept, are attributes of the cases.

    Args:
        root: folder of DICOM files, with their labels among them.
        data: how to read it; ``path`` lies in ``root``.
        task: classes, and what a network sees at once.
        store: that the volumes are ingested into.
        key: folder in the store.
        progress: show bars.

    Raises:
        RecipeError, DataError: as :func:`prepare_dicom`; a class that occurs in no label is none of this function's concern.
    """
    folder = store.root / INGESTED / key
    report = ingest_with_site_secret(IngestRequest(root / data.path, folder, data.policy, progress=progress))
    # Called by its own name in what is said of it.
    cases, _, _ = _labelled(key, task, data.model_copy(update={"path": (root / data.path).resolve().name}), store, report)
    said = {one.series_key: one for one in read_manifest(folder).series}
    cases = [case.model_copy(update={"attributes": {**case.attributes, **_attributes(said[_series_of(case, said)])}}) for case in cases]
    return _with_channels(make_cohort(key, ORIGIN, task.classes, cases, [Part.TEST] * len(cases)), data), report


def _series_of(case: Case, said: Mapping[str, SeriesRecord]) -> str:
    """Return the series of a case: the case of a volume is called by it, that of a frame by it and the frame's number."""
    return max((key for key in said if case.case_key.startswith(key)), key=len)


def _attributes(series: SeriesRecord) -> dict[str, str]:
    age = "" if series.age_years is None else str(series.age_years)
    named = {"modality": series.modality, "sex": series.sex, "age": age, "acquisition": series.acquisition}
    return {name: value for name, value in named.items() if value}


def _labelled(name: str, task: Task, data: DicomData, store: Store, report: IngestReport) -> tuple[list[Case], list[int], _Found]:
    """Return the labelled images of an ingested folder as cases, in the order of their content, by what they are to be divided, and what labels hold.

    Raises:
        RecipeError: ``SEGMENTS_UNKNOWN_CLASS``.
        DataError: ``COHORT_EMPTY``.
    """
    check_segments(task, data)
    require_channels(tuple(data.channels), task, "data.channels")
    ingested = Store(store.root / INGESTED / name)
    cases: list[Case] = []
    strata: list[int] = []
    found, chooser = _Found(), ClassChooser(task.classes, data.segments, site_secret())
    pictures: list[CasePicture] = []
    manifest = read_manifest(ingested.root)
    for images in _chosen(manifest, task, data, found):
        volume = images.first
        try:
            if volume.picture is not None:
                pictures += _pictures(volume, chooser, task, ingested, found)
                continue
            written = None
            if data.channels:
                key = f"cohorts/{name}/{volume.series_key}-images.safetensors"
                written = write_images(images, tuple(data.channels), (ingested, store), key)
            case, foreground = _case(volume, chooser, task, (ingested, store), f"cohorts/{name}", found, written)
        except (IngestError, DataError) as error:
            found.refuse(volume.series_key, error.code, error.message)
            continue
        cases.append(case)
        strata.append(foreground if case.label is None else case.label)
    if pictures:
        # In the order in which volumes come, by content; a case is the row of its shard, which must not be moved afterwards.
        pictures.sort(key=lambda one: (one.pixel_sha256, one.volume.series_key, one.frame))
        cases = keep_pictures(pictures, store, f"cohorts/{name}")
        strata = [
            int((one.mask > 0).sum()) if case.label is None and one.mask is not None else case.label or 0
            for one, case in zip(pictures, cases, strict=True)
        ]
    write_bytes(
        store.root / f"cohorts/{name}/labels.json",
        json.dumps({"cases": found.cases, "refused": found.refused}, sort_keys=True, indent=1).encode(),
    )
    if not cases:
        asked = "; ".join(f"{channel}: {rule.text()}" for channel, rule in data.channels.items())
        none = f"no study has what the channels ask for ({asked})" if asked and manifest.volumes else "no volume was accepted"
        why = next(iter(found.refused.values()), {"what": none})["what"]
        message = f"expected labelled volumes in {data.path}, none is: files {report.codes()}, labels {found.codes()}, the first: {why}"
        raise DataError("COHORT_EMPTY", message)
    unlabelled = sum(entry["code"] == IngestCode.LABEL_MISSING.value for entry in found.refused.values())
    if len(found.refused) > unlabelled:
        first = next(entry["what"] for entry in found.refused.values() if entry["code"] != IngestCode.LABEL_MISSING.value)
        _LOG.warning("%d labelled volumes are left out %s, the first: %s", len(found.refused) - unlabelled, found.codes(), first)
    if not pictures:
        cases, strata = _in_order_of_content(cases, strata)
    return cases, strata, found


def _in_order_of_content(cases: list[Case], strata: list[int]) -> tuple[list[Case], list[int]]:
    """Return cases and their strata in the order of their voxels' digests.

    A store lists series by keys, which another site's secret makes others: the same studies are then split and learnt from alike everywhere.
    """
    order = sorted(range(len(cases)), key=lambda row: (cases[row].pixel_sha256 or "", cases[row].case_key))
    return [cases[row] for row in order], [strata[row] for row in order]


def _by_content(cases: list[Case]) -> list[str]:
    """Return what stands for the patient of each case in a split, the same under every secret: the least digest of the patient's voxels."""
    least: dict[str, str] = {}
    for case in cases:
        least[case.patient_key] = min(case.pixel_sha256 or "", least.get(case.patient_key, "g"))  # no digest begins with it
    return [least[case.patient_key] for case in cases]


def _chosen(manifest: StoreManifest, task: Task, data: DicomData, found: _Found) -> Iterator[CaseImages]:
    """Yield the images of each case of a store, and note why volumes that ``channels`` asks for are none."""
    volumes = _of_task(with_coordinates(manifest, data), task, data)
    if not data.channels:
        yield from (CaseImages((volume,)) for volume in volumes)
        return
    cases, refused = images_of_cases(volumes, {one.series_key: one for one in manifest.series}, data.channels)
    for key, why in refused.items():
        found.refuse(key, why.code, why.what)
    yield from cases


def _of_task(volumes: Iterable[VolumeRef], task: Task, data: DicomData) -> list[VolumeRef]:
    """Return the images that a task is about: pictures for networks of pictures, volumes for those of volumes."""
    wanted = [volume for volume in volumes if data.modality in (None, volume.modality)]
    kept = [volume for volume in wanted if (volume.picture is not None) == (task.spatial_dims == 2)]
    if len(kept) < len(wanted):
        other, kind = ("volumes", "pictures") if task.spatial_dims == 2 else ("pictures", "volumes")
        _LOG.warning("%d %s are left out: a task with image_size %s is about %s", len(wanted) - len(kept), other, task.image_size, kind)
    return kept


def _pictures(volume: VolumeRef, chooser: ClassChooser, task: Task, source: Store, found: _Found) -> list[CasePicture]:
    """Return the frames of a picture as cases of their own, brought to the task's size."""
    label = None
    if task.kind is TaskKind.CLASSIFICATION:
        label = _class_of(volume, task)
    structures = [structure for one in volume.labels for structure in read_structures(one, source)]
    if not structures and task.kind.is_dense:
        raise IngestError(IngestCode.LABEL_MISSING, f"expected a label, the picture {volume.series_key} has none")
    found.names.update({structure.segment.name for structure in structures})
    marked: NDArray[Any] | None = None
    if structures and task.kind is TaskKind.CLASSIFICATION:
        marked = np.any([structure.mask for structure in structures], axis=0)
    elif structures:
        combined = combine_classes(structures, chooser, volume.geometry.shape)
        marked, found.cases[volume.series_key] = combined.label, combined.summary
        values, counts = np.unique(combined.label, return_counts=True)
        found.voxels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    arrays = source.read_tensors(volume.array)
    synthetic = arrays.get(SYNTHETIC)
    return frames_as_cases(
        volume, arrays[PICTURE].numpy(), marked, None if synthetic is None else synthetic.numpy(), label=label, size=task.image_size
    )


def _class_of(volume: VolumeRef, task: Task) -> int:
    if volume.class_label not in task.classes:
        raise IngestError(IngestCode.LABEL_MISSING, f"expected a class among {task.classes}, the volume has {volume.class_label}")
    return task.classes.index(volume.class_label)


def check_segments(task: Task, data: DicomData) -> None:
    """Refuse a mapping onto classes that the task does not have, before anything is read."""
    known = {normal_name(name) for name in task.classes}
    for name, wanted in data.segments.items():
        if task.kind.is_dense and normal_name(wanted) not in known:
            message = f"expected one of the classes {list(task.classes)} for {name!r} under data.segments, got {wanted!r}: correct it there"
            raise RecipeError("SEGMENTS_UNKNOWN_CLASS", message)


def _require_classes(task: Task, cases: list[Case], found: _Found) -> None:
    """Stop before anything is computed when a class occurs in no case: it could be neither learnt nor measured."""
    if task.kind.is_dense:
        there = {0} | {index for index, voxels in found.voxels.items() if voxels}
    else:
        there = {case.label for case in cases if case.label is not None}
    held = found.said_names() if task.kind.is_dense else ", ".join(task.classes[index] for index in sorted(there))
    mend = "name the structures of the class under data.segments, or take it off the classes"
    require_classes(task.classes, there, cases=len(cases), held=held, mend=mend)


def _parts(people: list[str], strata: list[int], data: DicomData) -> list[Part]:
    outer = split_by_patient(people, strata, validation=data.held_out, seed=0)
    if data.inner_validation == 0:
        return list(outer)
    parts = [Part.TEST if part is Part.VALIDATION else Part.TRAIN for part in outer]
    rows = [row for row, part in enumerate(parts) if part is Part.TRAIN]
    inner = split_by_patient([people[row] for row in rows], [strata[row] for row in rows], validation=data.inner_validation, seed=0)
    for row, part in zip(rows, inner, strict=True):
        parts[row] = part
    return parts


def _case(
    volume: VolumeRef, chooser: ClassChooser, task: Task, stores: tuple[Store, Store], folder: str, found: _Found, images: Ref | None
) -> tuple[Case, int]:
    """Write the label of one volume and return its case, whose images are that volume or what was written of several, and its foreground's voxels."""
    source, target = stores
    label = _class_of(volume, task) if task.kind is TaskKind.CLASSIFICATION else None
    labels = volume.labels
    if not labels and task.kind.is_dense:
        raise IngestError(IngestCode.LABEL_MISSING, f"expected a label, the volume {volume.series_key} has none")
    structures = [structure for one in labels for structure in read_structures(one, source)]
    found.names.update({structure.segment.name for structure in structures})
    label_map: torch.Tensor | None = None
    if labels and task.kind is TaskKind.CLASSIFICATION:
        # Of a classification, any structure is the lesion.
        label_map = torch.from_numpy(np.any([structure.mask for structure in structures], axis=0).astype(np.uint8))
    elif labels:
        combined = combine_classes(structures, chooser, volume.geometry.shape)
        label_map = torch.from_numpy(combined.label)
        found.cases[volume.series_key] = combined.summary
        values, counts = np.unique(combined.label, return_counts=True)
        found.voxels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    mask = None if label_map is None else target.write_tensors(f"{folder}/{volume.series_key}.safetensors", {LABEL: label_map})
    place = source.root.relative_to(target.root).as_posix()
    case = Case(
        case_key=volume.series_key,
        patient_key=volume.patient_key,
        image=images or Ref(store=target.name, key=f"{place}/{volume.array.key}", sha256=volume.array.sha256),
        mask=mask,
        geometry=volume.space,
        label=label,
        pixel_sha256=volume.array.sha256,
        perceptual_hash=volume.perceptual_hash,
        study_key=volume.study_key,
        frame_of_reference_key=volume.frame_of_reference_key,
        modality=volume.modality,
        unit=volume.unit,
    )
    return case, 0 if label_map is None else int((label_map > 0).sum())
