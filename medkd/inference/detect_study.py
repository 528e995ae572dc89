"""What a detector finds in a study, in the study's own voxels and in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data_contracts import Geometry, VolumeRef
from medkd.inference.detect import SAME, centres_mm, detect, detect_volume
from medkd.inference.segment import PreparedStudy
from medkd.measures._boxes import Boxes
from medkd.volumes.letterbox import inner_size


@dataclass(frozen=True)
class FoundLesion:
    """One detection.

    Attributes:
        score: between 0 and 1; not calibrated.
        low: first voxel of the box along (slice, row, column) of the study, its edge; fractions where the box does not end between voxels.
        high: its other edge: the box holds ``high - low`` voxels.
        centre_lps_mm: where its centre lies in the patient; None of a picture, whose pixels lie nowhere.
    """

    score: float
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    centre_lps_mm: tuple[float, float, float] | None


def lesions_of_study(model: nn.Module, prepared: PreparedStudy, volume: VolumeRef) -> tuple[FoundLesion, ...]:
    """Return the lesions that a detector finds in a prepared study, the surest first.

    Of pictures each slice is asked by itself: boxes of one slice that go on in the next one, overlapping by more than :data:`SAME`, are one
    lesion with the score of the surest.

    Args:
        model: detector of the study's task.
        prepared: as :func:`medkd.inference.segment.prepare_study` gives it.
        volume: record of the study.
    """
    if prepared.task.spatial_dims == 3:
        found = _to_study(detect_volume(model, prepared.image, prepared.task), prepared)
    else:
        found = _joined([_own_pixels(own, prepared) for own in detect(model, prepared.image)])
    geometry = volume.geometry
    centres = centres_mm(found, geometry).tolist() if isinstance(geometry, Geometry) else [None] * len(found)
    rows = zip(found.scores.tolist(), found.places.tolist(), centres, strict=True)
    return tuple(FoundLesion(score, tuple(place[:3]), tuple(place[3:]), None if at is None else tuple(at)) for score, place, at in rows)


def _to_study(found: Boxes, prepared: PreparedStudy) -> Boxes:
    """Return boxes on the network's voxels on the study's own: both corners go by way of the patient."""
    alignment = prepared.alignment
    if alignment is None or not len(found):
        return found
    there = torch.from_numpy(alignment.network.affine_lps_mm).double()
    back = torch.linalg.inv(torch.from_numpy(alignment.source.affine_lps_mm).double())
    # Edges lie half a voxel before the centre that an index stands for.
    corners = [found.places[:, :3], found.places[:, 3:]]
    moved = [_through(back @ there, corner.double() - 0.5) + 0.5 for corner in corners]
    # Axes of the study may run the other way.
    low, high = torch.minimum(*moved), torch.maximum(*moved)
    extent = torch.tensor(alignment.source.shape, dtype=torch.double)
    return Boxes(torch.cat([low.clamp_min(0), torch.minimum(high, extent)], 1).float(), found.scores)


def _through(affine: Tensor, points: Tensor) -> Tensor:
    return points @ affine[:3, :3].T + affine[:3, 3]


def _own_pixels(found: Boxes, prepared: PreparedStudy) -> Boxes:
    """Return boxes on the pixels of the study's own pictures, where they were brought to size by a letterbox."""
    if prepared.matrix is None:
        return found
    rows, columns = prepared.task.image_size[-2:]
    inner, extent = torch.tensor(inner_size(prepared.matrix, (rows, columns))), torch.tensor(prepared.matrix, dtype=torch.float32)
    # The padding lies at the bottom and on the right: places before it only change their scale.
    corners = (found.places[:, :2] * extent / inner, found.places[:, 2:] * extent / inner)
    return Boxes(torch.cat([torch.minimum(corner, extent) for corner in corners], 1), found.scores)


def _joined(slices: list[Boxes]) -> Boxes:
    """Return boxes of pictures, slice by slice, as boxes of the volume."""
    lesions: list[tuple[Tensor, Tensor]] = []
    for index, own in enumerate(slices):
        for place, score in zip(own.places, own.scores, strict=True):
            box = torch.tensor([index, *place[:2].tolist(), index + 1, *place[2:].tolist()])
            before = next((row for row, (known, _) in enumerate(lesions) if known[3] == index and _overlap(known, box) > SAME), None)
            if before is None:
                lesions.append((box, score))
                continue
            known, best = lesions[before]
            lesions[before] = torch.cat([torch.minimum(known[:3], box[:3]), torch.maximum(known[3:], box[3:])]), torch.maximum(best, score)
    if not lesions:
        return Boxes(torch.zeros(0, 6), torch.zeros(0))
    places, scores = (torch.stack(parts) for parts in zip(*lesions, strict=True))
    order = torch.argsort(scores, descending=True, stable=True)
    return Boxes(places[order], scores[order])


def _overlap(first: Tensor, second: Tensor) -> float:
    """Return the intersection over union of two boxes within their slices."""
    low, high = torch.maximum(first[1:3], second[1:3]), torch.minimum(first[4:], second[4:])
    joint = (high - low).clamp_min(0).prod()
    sizes = [(box[4:] - box[1:3]).prod() for box in (first, second)]
    return float(joint / (sizes[0] + sizes[1] - joint).clamp_min(1e-9))
