"""Which volumes of ingested DICOM are meant: by their coordinates, and as the images of one case. Nothing is guessed, and nothing is moved to fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from data_contracts import Coordinate, DataError, DicomData, Ref, StoreManifest, VolumeRef
from medkd.cohorts.case_inputs import channel_key
from medkd.cohorts.folder_names import few
from medkd.cohorts.on_first import grid_of_image, on_first
from medkd.cohorts.shards import AFFINE, IMAGE, SYNTHETIC
from medkd.dicom.case_images import CaseImages
from medkd.dicom.series_rule import has_coordinates
from medkd.storage.store import Store


def with_coordinates(manifest: StoreManifest, data: DicomData) -> list[VolumeRef]:
    """Return the volumes of a store that have the coordinates that are asked for, all where none is.

    Raises:
        DataError: ``COHORT_EMPTY`` where none has them.
    """
    if not data.coordinates:
        return list(manifest.volumes)
    stated = {one.series_key: one.coordinates for one in manifest.series}
    kept = [volume for volume in manifest.volumes if has_coordinates(stated.get(volume.series_key, {}), data.coordinates)]
    if not kept:
        wanted = ", ".join(f"{name} {_said(value)}" for name, value in data.coordinates.items())
        message = f"expected volumes with {wanted} in {data.path}, as data.coordinates asks, the {len(manifest.volumes)} there have {_held(stated)}"
        raise DataError("COHORT_EMPTY", message)
    return kept


def write_images(images: CaseImages, channels: Sequence[str], stores: tuple[Store, Store], key: str) -> Ref:
    """Write the images of a case to one file, all on the grid of the first.

    Voxels that an image does not reach, or that no scanner measured, are marked: nothing is learnt from them and nothing scored.

    Args:
        images: of the case, each a volume.
        channels: their names.
        stores: that the volumes are read from, and that the file goes to.
        key: of the file.

    Raises:
        DataError: ``CHANNEL_LABEL`` when the label lies on another image than the first, ``CHANNEL_OUTSIDE`` when one hardly reaches the first's grid.
    """
    labelled = next((name for name, volume in zip(channels, images.volumes, strict=True) if volume.labels), channels[0])
    if not images.first.labels and labelled != channels[0]:
        text = f"expected the label on {channels[0]}, the first of data.channels, it lies on {labelled}: put that one first"
        raise DataError("CHANNEL_LABEL", text)
    source, target = stores
    grid = grid_of_image(images.first)
    arrays = {AFFINE: torch.from_numpy(grid.affine_lps_mm)}
    unmeasured = np.zeros(grid.shape, dtype=bool)
    for number, (name, volume) in enumerate(zip(channels, images.volumes, strict=True)):
        values, missing = on_first(volume, images.first, (name, channels[0]), source)
        unmeasured |= missing
        arrays[channel_key(IMAGE, number, name)] = torch.from_numpy(values)
    if unmeasured.any():
        arrays[SYNTHETIC] = torch.from_numpy(unmeasured.astype(np.uint8))
    return target.write_tensors(key, arrays)


def _held(stated: Mapping[str, Mapping[str, Coordinate]]) -> str:
    """Say which coordinates the volumes of a store have."""
    values: dict[str, dict[str, None]] = defaultdict(dict)
    for name, value in sorted((pair for one in stated.values() for pair in one.items()), key=str):
        values[name][_said(value)] = None
    return "; ".join(f"{name} {few(said)}" for name, said in values.items()) or "none: each series is one volume"


def _said(value: Coordinate) -> str:
    return value if isinstance(value, str) else " ".join(f"{one:g}" for one in (value if isinstance(value, tuple) else (value,)))
