"""Pictures of ingested DICOM as cases: each frame brought to the task's size as pictures of folders are, all in one shard."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import Case, VolumeRef
from medkd.cohorts.shards import PICTURE
from medkd.dicom.ingest_cache import read_manifest
from medkd.storage.store import Store
from medkd.volumes.burnt_in import without_burnt_in
from medkd.volumes.letterbox import letterbox, letterbox_mask
from medkd.volumes.perceptual import perceptual_hash


@dataclass(frozen=True)
class CasePicture:
    """One frame of a picture, brought to the task's size.

    Attributes:
        volume: record of the picture.
        frame: which of its frames.
        label: index of its class, or None.
        image: what is shown of it: uint8 where all was whole, else float32 [row, column].
        mask: uint8 label map [row, column], or None.
        valid: uint8 [row, column], 0 where it was padded, or not measured.
        pixel_sha256: of what is shown, before it was brought to size.
        perceptual_hash: of the same.
    """

    volume: VolumeRef
    frame: int
    label: int | None
    image: NDArray[Any]
    mask: NDArray[np.uint8] | None
    valid: NDArray[np.uint8]
    pixel_sha256: str
    perceptual_hash: str


def frames_as_cases(
    volume: VolumeRef,
    shown: NDArray[Any],
    marked: NDArray[Any] | None,
    synthetic: NDArray[np.uint8] | None,
    *,
    label: int | None,
    size: tuple[int, ...],
) -> list[CasePicture]:
    """Return the frames of a picture as cases.

    Args:
        volume: record of the picture.
        shown: what is shown of it, [frame, row, column].
        marked: its label map, or None.
        synthetic: 1 where it was not measured, or None where all was.
        label: index of its class, or None.
        size: rows and columns that a network sees.
    """
    rows, columns = size[-2:]
    cases = []
    for number, frame in enumerate(shown):
        image, valid = letterbox(frame, (rows, columns))
        if synthetic is not None:
            valid &= 1 - letterbox_mask(synthetic[number], (rows, columns))
        mask = None if marked is None else _label_map(marked[number], (rows, columns))
        cases.append(
            CasePicture(
                volume=volume,
                frame=number,
                label=label,
                image=image,
                mask=mask,
                valid=valid,
                pixel_sha256=hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest(),
                perceptual_hash=perceptual_hash(frame),
            )
        )
    return cases


def frames_without_burnt_in(cases: Sequence[Case], ingested: Store, size: tuple[int, ...]) -> list[NDArray[np.uint8] | None]:
    """Return each picture of a cohort brought to size once the letters and crosses that are found in it are painted over.

    Args:
        cases: as :func:`keep_pictures` called them.
        ingested: store that the pictures were ingested into.
        size: rows and columns that a network sees.

    Returns:
        uint8 [row, column] of each case; None of a picture of more than 8 bits: the detector knows strokes by their height in 256 greys, and
        what a stored value of such a picture shows as depends on its display.
    """
    rows, columns = size[-2:]
    found: list[NDArray[np.uint8] | None] = [None] * len(cases)
    places = {case.case_key: place for place, case in enumerate(cases)}
    for volume in read_manifest(ingested.root).volumes:
        keys = _keys(volume)
        if not any(key in places for key in keys):
            continue
        for key, frame in zip(keys, ingested.read_tensors(volume.array)[PICTURE].numpy(), strict=True):
            if key in places and frame.dtype == np.uint8:
                found[places[key]] = letterbox(without_burnt_in(frame), (rows, columns))[0]
    return found


def _keys(volume: VolumeRef) -> list[str]:
    """Return what the cases of a picture's frames are called."""
    frames = volume.geometry.shape[0]
    return [volume.series_key] if frames == 1 else [f"{volume.series_key}.{frame}" for frame in range(frames)]


def _label_map(marked: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a label map brought to size: each class where more than half of a pixel belongs to it."""
    result = np.zeros(size, np.uint8)
    for value in np.unique(marked):
        if value:
            result[letterbox_mask(marked == value, size) > 0] = value
    return result


def keep_pictures(pictures: Sequence[CasePicture], store: Store, folder: str) -> list[Case]:
    """Write the pictures of a cohort into one shard, in their order, and return their cases.

    Args:
        pictures: at least one.
        store: that the shard goes to.
        folder: of the cohort in the store.
    """
    empty = np.zeros_like(pictures[0].valid)
    shard = store.write_tensors(
        f"{folder}/all.safetensors",
        {
            # float32 as soon as one picture has more than 8 bits.
            "images": torch.from_numpy(np.stack([one.image for one in pictures])),
            "masks": torch.from_numpy(np.stack([empty if one.mask is None else one.mask for one in pictures])),
            "valid": torch.from_numpy(np.stack([one.valid for one in pictures])),
        },
    )
    return [
        Case(
            case_key=_keys(one.volume)[one.frame],
            patient_key=one.volume.patient_key,
            image=shard,
            mask=None if one.mask is None else shard,
            label=one.label,
            pixel_sha256=one.pixel_sha256,
            perceptual_hash=one.perceptual_hash,
            study_key=one.volume.study_key,
            frame_of_reference_key=one.volume.frame_of_reference_key,
            attributes=_stated(one.volume),
            modality=one.volume.modality,
            unit=one.volume.unit,
        )
        for one in pictures
    ]


def _stated(volume: VolumeRef) -> dict[str, str]:
    """Return side and view of a picture, where they are stated: subgroups that figures are given for."""
    picture = volume.picture
    stated = {} if picture is None else {"laterality": picture.laterality, "view": picture.view}
    return {name: value for name, value in stated.items() if value}
