"""What a served network answers about one volume, on the volume's own voxels; numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_contracts import DataError, Geometry, Lesion, Task, TaskKind
from medkd.inference.components import find_components, smallest_voxels
from medkd.serving.network import OnnxNetwork
from medkd.volumes.alignment import ArrayAlignment, alignment_of
from medkd.volumes.intensity import array_intensity
from medkd.volumes.orientation import Grid


@dataclass(frozen=True)
class StudyAnswer:
    """What a network said of a volume.

    Attributes:
        labels: class of every voxel, uint8 [slice, row, column]; None of networks that classify.
        lesions: connected components with their masks, by class and then the largest first.
        logits: float32 [picture, class] of networks that classify: a picture is a slice, or the patch in the volume's middle.
        maps: class map by class index, float32 [slice, row, column], in logits: of each class found, or of each picture's own answer (0).
    """

    labels: NDArray[np.uint8] | None = None
    lesions: tuple[tuple[Lesion, NDArray[np.uint8]], ...] = ()
    logits: NDArray[np.float32] | None = None
    maps: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)


def ask_study(values: NDArray[np.float32], geometry: Geometry, network: OnnxNetwork) -> StudyAnswer:
    """Ask a network about a volume [slice, row, column], as :mod:`medkd.inference` asks the torch one.

    Raises:
        DataError: ``GRID_MISMATCH`` for slices of another size than its pictures, ``IMAGE_NOT_FINITE``.
    """
    if not np.isfinite(values).all():
        raise DataError("IMAGE_NOT_FINITE", "expected finite voxels, got NaN or infinity: mend or leave out the series")
    task = network.task
    segments = task.kind is TaskKind.SEGMENTATION
    if task.spatial_dims == 3:
        alignment = alignment_of(Grid(geometry.shape, np.asarray(geometry.affine_lps_mm)), task)
        image = array_intensity(alignment.array_to_network(values), task)[None]
        return _segment_volume(image, alignment, geometry, network) if segments else _classify_volume(image, alignment, network)
    if tuple(values.shape[1:]) != task.image_size:
        raise DataError(
            "GRID_MISMATCH", f"expected slices of {task.image_size} pixels for this model, the study has {tuple(values.shape[1:])}"
        )
    found = network.predict(array_intensity(values, task)[:, None])
    if segments:
        return _segmented(found[0].argmax(1).astype(np.uint8), [np.moveaxis(part, 1, 0) for part in found[1:]], geometry, task)
    own = {0: _own_maps(found[1], found[0].argmax(1))} if network.has_map else {}
    return StudyAnswer(logits=found[0], maps=own)


def _segment_volume(image: NDArray[np.float32], alignment: ArrayAlignment, geometry: Geometry, network: OnnxNetwork) -> StudyAnswer:
    # Logits, not labels, are brought back: where the study's grid is finer, edges are placed between voxels.
    logits, *maps = (alignment.array_to_source(part) for part in network.predict_volume(image))
    return _segmented(logits.argmax(0).astype(np.uint8), maps, geometry, network.task)


def _segmented(labels: NDArray[np.uint8], maps: list[NDArray[np.float32]], geometry: Geometry, task: Task) -> StudyAnswer:
    smallest = smallest_voxels(geometry)
    lesions = [
        found
        for index, name in enumerate(task.classes)
        if index
        for found in find_components(labels == index, geometry, class_name=name, smallest=smallest)
    ]
    present = {task.classes.index(lesion.class_name) for lesion, _ in lesions}
    # The margin over the background is what decides whether a voxel is marked.
    margins = {index: part[index] - part[0] for part in maps for index in sorted(present)}
    return StudyAnswer(labels=labels, lesions=tuple(lesions), maps=margins)


def _classify_volume(image: NDArray[np.float32], alignment: ArrayAlignment, network: OnnxNetwork) -> StudyAnswer:
    size = network.task.image_size
    corner = [(e - s) // 2 if e <= s else min(max(e // 2 - s // 2, 0), e - s) for e, s in zip(image.shape[1:], size, strict=True)]
    patch, place, inside = _cut(image[0], corner, size)
    logits, *maps = network.predict(patch[None, None])
    whole = {}
    for part in maps:
        values = np.zeros(image.shape[1:], dtype=np.float32)
        values[place] = part[0, int(logits[0].argmax())][inside]
        whole[0] = alignment.array_to_source(values[None])[0]
    return StudyAnswer(logits=logits, maps=whole)


def _own_maps(maps: NDArray[np.float32], answers: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the map of each picture's own answer, [picture, row, column]."""
    return maps[np.arange(len(maps)), answers]


def _cut(
    values: NDArray[np.float32], corner: list[int], size: tuple[int, ...]
) -> tuple[NDArray[np.float32], tuple[slice, ...], tuple[slice, ...]]:
    """Return the box of ``size`` at ``corner`` (may be negative) filled up with the lowest value, where it lies in the volume, and in the box."""
    place = tuple(slice(max(c, 0), min(c + s, e)) for c, s, e in zip(corner, size, values.shape, strict=True))
    inside = tuple(slice(max(-c, 0), max(-c, 0) + p.stop - p.start) for c, p in zip(corner, place, strict=True))
    box = np.full(size, values.min(), dtype=np.float32)
    box[inside] = values[place]
    return box, place, inside
