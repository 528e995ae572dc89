"""A study whose lesions and maps are known, in any orientation, with its DICOM images."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from data_contracts import Entry, ExplanationRequest
from medkd.dicom.write_series import image_of_slice, write_series
from medkd.explanation.artefact import keep
from medkd.explanation.explain_study import StudyExplanationResult, StudyImages, explain_study
from medkd.inference.components import find_components
from medkd.volumes.orientation import Grid
from tests.explanation.studies import bright_model, bright_volume

UIDS = [generate_uid() for _ in range(3)]
BOXES = (np.s_[12:16, 4:8, 18:22], np.s_[3:8, 10:16, 5:9])


def explained_study(folder: Path, boxes=BOXES, placed_in=None, **geometry) -> tuple[Path, NDArray[np.float32], list[Path]]:
    """Return an explained study below a folder: folder of the explanation, values, DICOM files.

    Args:
        folder: that everything goes into.
        boxes: what is bright.
        placed_in: shape of a larger volume whose first voxels what is explained becomes: explaining all of it would take an hour.
        geometry: shape and orientation, see :func:`bright_volume`.
    """
    values, volume = bright_volume(folder / "store", list(boxes), **geometry)
    explained = explain_study(StudyImages(values, volume), bright_model(), ExplanationRequest(explainers=(Entry(name="saliency"),)))
    if placed_in is not None:
        explained = _placed(explained, placed_in)
        volume, values = explained.record.volume, explained.volume
    kept = keep(explained, folder / "explanations", previews=False)
    array = values.numpy()
    grid = Grid(volume.geometry.shape, np.asarray(volume.geometry.affine_lps_mm))
    slices = [image_of_slice(np.round(plane).astype(np.int16), grid, index, "CT") for index, plane in enumerate(array)]
    for dataset in slices:
        dataset.PatientID, dataset.PatientName, dataset.StudyID, dataset.AccessionNumber = "P1", "Doe^Jane", "S1", "A1"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = UIDS
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return kept, array, list(write_series(slices, folder / "dicom"))


def _placed(explained: StudyExplanationResult, shape: tuple[int, int, int]) -> StudyExplanationResult:
    """Return an explanation of a larger volume, empty beside what was explained."""
    small = explained.record.volume.geometry.shape
    pad = [(0, after) for after in np.subtract(shape, small)]
    arrays = {
        name: torch.from_numpy(np.pad(value.numpy(), pad)) if tuple(value.shape) == small else value
        for name, value in explained.arrays.items()
    }
    geometry = explained.record.volume.geometry.model_copy(update={"shape": shape})
    found = find_components(arrays["segmentation/student"].numpy(), geometry)
    lesions = tuple(
        one.model_copy(update=lesion.model_dump(include={"mask_sha256"}))
        for one, (lesion, _) in zip(explained.record.lesions, found, strict=True)
    )
    payload = safetensors.torch.save(arrays)
    array = explained.record.array.model_copy(update={"sha256": hashlib.sha256(payload).hexdigest()})
    volume = explained.record.volume.model_copy(update={"geometry": geometry})
    record = explained.record.model_copy(update={"array": array, "lesions": lesions, "volume": volume})
    return replace(explained, record=record, payload=payload, arrays=arrays, volume=torch.from_numpy(np.pad(explained.volume.numpy(), pad)))
