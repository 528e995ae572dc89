"""What a served network answers about one volume, on the volume's own voxels; numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Calibration, DataError, Geometry, Lesion, Task, TaskKind
from medkd.inference.apply_calibration import apply
from medkd.inference.components import find_components, smallest_voxels
from medkd.serving.runtime_network import RuntimeNetwork
from medkd.volumes.alignment import ArrayAlignment, alignment_of
from medkd.volumes.intensity import array_intensity
from medkd.volumes.letterbox import from_letterbox, letterbox
from medkd.volumes.most_likely import most_likely
from medkd.volumes.orientation import Grid


@dataclass(frozen=True)
class StudyAnswer:
    """What a network said of a volume.

    Attributes:
        labels: class of every voxel, uint8 [slice, row, column]; None of networks that classify.
        lesions: connected components with their masks, by class and then the largest first.
        logits: float32 [picture, class] of networks that classify: a picture is a slice, or the patch in the volume's middle.
        maps: class map by class index, float32 [slice, row, column], in logits: of each class found, or of each picture's own answer (0).
        margin: of networks that classify, where they have maps: the map of the answer (calibrated where a version is) less the mean of the others'.
    """

    labels: NDArray[np.uint8] | None = None
    lesions: tuple[tuple[Lesion, NDArray[np.uint8]], ...] = ()
    logits: NDArray[np.float32] | None = None
    maps: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)
    margin: NDArray[np.float32] | None = None


def ask_study(
    values: NDArray[Any],
    geometry: Geometry | None,
    network: RuntimeNetwork,
    calibration: Calibration | None = None,
    further: Sequence[NDArray[np.float32]] = (),
) -> StudyAnswer:
    """Ask a network about a volume [slice, row, column], or a picture [frame, row, column], as :mod:`medkd.inference` asks the torch one.

    Args:
        values: voxels, float32, or what is shown of a picture, float32 or uint8.
        geometry: of a volume; None of a picture, which is brought to size as pictures are imported.
        network: by whichever library.
        calibration: of the version; it decides which answer the margin of a classifier is of.
        further: other images on the same voxels, of a network that sees several.

    Raises:
        DataError: ``TASK_INPUTS`` for a network that sees other images; ``GRID_MISMATCH`` for slices of another size than its pictures, or a picture where volumes are asked for; ``IMAGE_NOT_FINITE``.
    """
    images = (values, *further)
    if network.task.in_channels != len(images) or (further and geometry is None):
        raise DataError("TASK_INPUTS", f"expected {', '.join(network.task.input_names)} of a study, it has {len(images)} images here")
    if not all(np.isfinite(image).all() for image in images):
        raise DataError("IMAGE_NOT_FINITE", "expected finite voxels, got NaN or infinity: mend or leave out the series")
    task = network.task
    segments = task.kind is TaskKind.SEGMENTATION
    if task.spatial_dims == 3:
        if geometry is None:
            raise DataError(
                "GRID_MISMATCH", f"expected a volume for this model, which sees {task.image_size} voxels, the study is a picture"
            )
        alignment = alignment_of(Grid(geometry.shape, np.asarray(geometry.affine_lps_mm)), task)
        image = np.stack([array_intensity(alignment.array_to_network(one), task) for one in images])
        if segments:
            return _segment_volume(image, alignment, geometry, network)
        return _classify_volume(image, alignment, network, calibration)
    found = network.predict(np.stack([array_intensity(_pictures(one, geometry, task), task) for one in images], 1))
    matrix = (int(values.shape[1]), int(values.shape[2]))
    if segments:
        parts = [_on_pictures(np.moveaxis(part, 1, 0), matrix, task) for part in found]
        return _segmented(most_likely(parts[0]), parts[1:], geometry, task)
    if not network.has_map:
        return StudyAnswer(logits=found[0])
    own, margin = _own_maps(found[1], found[0].argmax(1)), _margins(found[1], apply(found[0], calibration).argmax(1))
    shown = [_on_pictures(part[None], matrix, task)[0] for part in (own, margin)]
    return StudyAnswer(logits=found[0], maps={0: shown[0]}, margin=shown[1])


def _pictures(values: NDArray[Any], geometry: Geometry | None, task: Task) -> NDArray[np.float32]:
    """Return what a network of pictures is asked about: slices as they are, a picture in a letterbox."""
    rows, columns = task.image_size[-2:]
    if geometry is None:  # whole values are rounded, as those of a picture of 8 bits are
        return np.stack([letterbox(frame, (rows, columns))[0] for frame in values]).astype(np.float32)
    if tuple(values.shape[1:]) != task.image_size:
        raise DataError(
            "GRID_MISMATCH", f"expected slices of {task.image_size} pixels for this model, the study has {tuple(values.shape[1:])}"
        )
    return values


def _on_pictures(values: NDArray[np.float32], matrix: tuple[int, int], task: Task) -> NDArray[np.float32]:
    """Bring values [channel, picture, *size of the task] to the pictures' own rows and columns."""
    if matrix == task.image_size:
        return values
    return np.array([[from_letterbox(plane, matrix) for plane in channel] for channel in values], dtype=np.float32)


def _segment_volume(image: NDArray[np.float32], alignment: ArrayAlignment, geometry: Geometry, network: RuntimeNetwork) -> StudyAnswer:
    # Logits, not labels, are brought back: where the study's grid is finer, edges are placed between voxels.
    logits, *maps = network.predict_volume(image)
    labels = most_likely(alignment.array_to_source(logits))
    # Interpolation is linear, so that differences may be taken before it: only those of classes that are found are brought back.
    found = _segmented(labels, maps, geometry, network.task)
    return replace(found, maps={index: alignment.array_to_source(margin[None])[0] for index, margin in found.maps.items()})


def _segmented(labels: NDArray[np.uint8], maps: list[NDArray[np.float32]], geometry: Geometry | None, task: Task) -> StudyAnswer:
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


def _classify_volume(
    image: NDArray[np.float32], alignment: ArrayAlignment, network: RuntimeNetwork, calibration: Calibration | None
) -> StudyAnswer:
    size = network.task.image_size
    corner = [(e - s) // 2 if e <= s else min(max(e // 2 - s // 2, 0), e - s) for e, s in zip(image.shape[1:], size, strict=True)]
    patch, place, inside = _cut(image, corner, size)
    logits, *maps = network.predict(patch[None])
    if not maps:
        return StudyAnswer(logits=logits)
    whole = np.zeros((2, *image.shape[1:]), dtype=np.float32)
    for row, values in enumerate((_own_maps(maps[0], logits.argmax(1)), _margins(maps[0], apply(logits, calibration).argmax(1)))):
        whole[row][place] = values[0][inside]
    own, margin = alignment.array_to_source(whole)
    return StudyAnswer(logits=logits, maps={0: own}, margin=margin)


def _own_maps(maps: NDArray[np.float32], answers: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the map of each picture's own answer, [picture, row, column]."""
    return maps[np.arange(len(maps)), answers]


def _margins(maps: NDArray[np.float32], answers: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the map of each picture's answer less the mean of those of the other classes, as the target ``class_margin`` asks."""
    own = _own_maps(maps, answers)
    others: NDArray[np.float32] = (maps.sum(1) - own) / np.float32(maps.shape[1] - 1)
    return own - others


def _cut(
    values: NDArray[np.float32], corner: list[int], size: tuple[int, ...]
) -> tuple[NDArray[np.float32], tuple[slice, ...], tuple[slice, ...]]:
    """Return the box of ``size`` at ``corner`` (may be negative) of values [channel, *space], filled up with the lowest, where it lies in the volume,
    and in the box."""
    place = tuple(slice(max(c, 0), min(c + s, e)) for c, s, e in zip(corner, size, values.shape[1:], strict=True))
    inside = tuple(slice(max(-c, 0), max(-c, 0) + p.stop - p.start) for c, p in zip(corner, place, strict=True))
    box = np.full((len(values), *size), values.min(), dtype=np.float32)
    box[(slice(None), *inside)] = values[(slice(None), *place)]
    return box, place, inside
