"""DICOM studies as the cohort of a recipe: ingested, proved, labelled, split by patient."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from data_contracts import (
    Case,
    CohortSet,
    DataError,
    DicomData,
    IngestCode,
    IngestError,
    LabelRef,
    Part,
    Recipe,
    StoreManifest,
    Task,
    TaskKind,
    VolumeRef,
    load_record,
)
from medkd.dicom.confidentiality.secret import site_secret
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.memory import MANIFEST
from medkd.volumes.case_table import make_cohort, serve_purposes
from medkd.volumes.split import split_by_patient
from medkd.volumes.store import Store
from medkd.workspace import Workspace

ORIGIN = "dicom"


def prepare_dicom(recipe: Recipe, data: DicomData, workspace: Workspace) -> CohortSet:
    """Ingest the folder of a recipe and say which part serves which purpose: all arms and seeds share one cohort.

    Raises:
        DataError: ``COHORT_EMPTY`` when no volume has a usable label.
    """
    store = workspace.store
    ingested = Store(store.root / "ingested" / recipe.name)
    request = IngestRequest(workspace.data_root / data.path, ingested.root, data.policy, progress=workspace.progress)
    report = ingest(request, secret=site_secret())
    cases: list[Case] = []
    strata: list[int] = []
    refused: dict[str, int] = {}
    for volume in load_record(ingested.root / MANIFEST, StoreManifest).volumes:
        if data.modality not in (None, volume.modality):
            continue
        try:
            case, foreground = _case(volume, data, recipe.task, (ingested, store), f"cohorts/{recipe.name}")
        except IngestError as error:
            refused[error.code] = refused.get(error.code, 0) + 1
            continue
        cases.append(case)
        strata.append(foreground if case.label is None else case.label)
    if not cases:
        raise DataError("COHORT_EMPTY", f"expected labelled volumes in {data.path}, none is: files {report.codes()}, labels {refused}")
    if recipe.task.kind is TaskKind.SEGMENTATION:
        middle = float(np.median(strata))
        strata = [int(count > middle) for count in strata]
    cohort = make_cohort(recipe.name, ORIGIN, recipe.task.classes, cases, _parts([case.patient_key for case in cases], strata, data))
    return serve_purposes(recipe, cohort, report, store)


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


def _case(volume: VolumeRef, data: DicomData, task: Task, stores: tuple[Store, Store], folder: str) -> tuple[Case, int]:
    """Write the shard of one volume and return its case and how many voxels are foreground."""
    source, target = stores
    arrays = source.read_tensors(volume.array)
    shard = {
        "image": arrays["volume"].float(),
        "affine_lps_mm": torch.tensor(volume.geometry.affine_lps_mm, dtype=torch.float64),
        **({"synthetic": arrays["synthetic"]} if "synthetic" in arrays else {}),
    }
    label = None
    if task.kind is TaskKind.CLASSIFICATION:
        if volume.class_label not in task.classes:
            raise IngestError(IngestCode.LABEL_MISSING, f"expected a class among {task.classes}, the volume has {volume.class_label}")
        label = task.classes.index(volume.class_label)
    if volume.label is not None:
        shard["label"] = _label_map(volume.label, source, data, task)
    elif task.kind is TaskKind.SEGMENTATION:
        raise IngestError(IngestCode.LABEL_MISSING, "expected a label, the volume has none")
    ref = target.write_tensors(f"{folder}/{volume.series_key}.safetensors", shard)
    case = Case(
        case_key=volume.series_key,
        patient_key=volume.patient_key,
        image=ref,
        mask=ref if "label" in shard else None,
        label=label,
        pixel_sha256=volume.array.sha256,
        perceptual_hash=volume.perceptual_hash,
        study_key=volume.study_key,
        frame_of_reference_key=volume.frame_of_reference_key,
        modality=volume.modality,
        unit=volume.unit,
    )
    return case, int((shard["label"] > 0).sum()) if "label" in shard else 0


def _label_map(label: LabelRef, source: Store, data: DicomData, task: Task) -> Tensor:
    """Return the label with class indices for segment values; of a classification, any segment is the lesion."""
    stored = source.read_tensors(label.array)["label"]
    if task.kind is TaskKind.CLASSIFICATION:
        return (stored > 0).to(torch.uint8)
    result = torch.zeros_like(stored)
    by_name = {name.lower(): index for index, name in enumerate(task.classes)}
    for segment in label.segments:
        wanted = data.segments.get(segment.name, segment.name).lower()
        if wanted not in by_name:
            raise IngestError(
                IngestCode.UNKNOWN_SEGMENT, f"expected a segment among {task.classes}, got {segment.name!r}; map it under segments"
            )
        result[stored == segment.value] = by_name[wanted]
    return result
