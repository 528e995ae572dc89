"""Boxes of lesions: read off masks, compared with one another, matched with what a detector found.

A box is (low, high) along each axis of space, [2 x axes], in voxels: voxel i reaches from i to i + 1, so that a box holds ``high - low`` voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from medkd.measures._components import components
from medkd.measures.froc import Detections

#: When a detection counts as a hit: its centre lies in the lesion's box, or both overlap by a tenth or by half of their union.
Criterion = Literal["centre", "iou10", "iou50"]
OVERLAPS: dict[Criterion, float] = {"iou10": 0.1, "iou50": 0.5}


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image, the best score first.

    Attributes:
        places: float32 [n, 2 x axes], voxels: low along each axis, then high.
        scores: float32 [n], between 0 and 1.
    """

    places: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.scores)


def boxes_of_labels(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the boxes [n, 2 x axes] and classes int64 [n] of the lesions of a label map [*space]; 0 and below is no lesion.

    Each component is one lesion, of the class that most of its voxels have.
    """
    values = labels.detach().cpu().numpy()
    numbered, count = components(values > 0)
    found = ndimage.find_objects(numbered)
    places = [[part.start for part in box] + [part.stop for part in box] for box in found]
    classes = [int(np.bincount(values[box][numbered[box] == number]).argmax()) for number, box in enumerate(found, 1)]
    return torch.tensor(places, dtype=torch.float32).reshape(count, 2 * labels.ndim), torch.tensor(classes, dtype=torch.int64)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union of each of some boxes [n, 2 x axes] with each of others [m, 2 x axes], [n, m]."""
    axes = first.shape[-1] // 2
    low = torch.maximum(first[:, None, :axes], second[None, :, :axes])
    high = torch.minimum(first[:, None, axes:], second[None, :, axes:])
    joint = (high - low).clamp_min(0).prod(-1)
    sizes = [(boxes[:, axes:] - boxes[:, :axes]).clamp_min(0).prod(-1) for boxes in (first, second)]
    return joint / (sizes[0][:, None] + sizes[1][None] - joint).clamp_min(1e-9)


def centre_of(boxes: Tensor) -> Tensor:
    """Return the centres [n, axes] of boxes [n, 2 x axes]."""
    axes = boxes.shape[-1] // 2
    return (boxes[:, :axes] + boxes[:, axes:]) / 2


def match(found: Boxes, wanted: Tensor, criterion: Criterion) -> Detections:
    """Return what was found in one image, as :func:`medkd.measures.froc.froc_score` counts it.

    The best detection chooses first: it hits the lesion that it fits best among those not yet hit. A further detection of a lesion that was
    hit before is a false positive where boxes must overlap (Everingham et al. 2010, PASCAL VOC), and neither rewarded nor punished where
    centres count (Setio et al. 2017, LUNA16).

    Args:
        found: boxes with scores.
        wanted: boxes of the lesions, [n, 2 x axes].
        criterion: what a hit is.
    """
    fit = _fit(found, wanted, criterion)
    lesions: NDArray[np.float64] = np.full(len(wanted), -np.inf)
    false_positives: list[float] = []
    for row in torch.argsort(found.scores, descending=True, stable=True).tolist():
        hits = fit[row] > 0
        free = hits & np.isneginf(lesions)
        if free.any():
            lesions[int(np.where(free, fit[row], 0.0).argmax())] = float(found.scores[row])
        elif not hits.any() or criterion != "centre":
            false_positives.append(float(found.scores[row]))
    return Detections(lesions, np.array(false_positives))


def _fit(found: Boxes, wanted: Tensor, criterion: Criterion) -> NDArray[np.float64]:
    """Return how well each detection fits each lesion, 0 where it is no hit: [detections, lesions]."""
    overlap = box_iou(found.places, wanted).double().numpy()
    if criterion != "centre":
        return np.where(overlap >= OVERLAPS[criterion], overlap, 0.0)
    axes = wanted.shape[-1] // 2
    centres = centre_of(found.places)[:, None]
    inside = ((centres >= wanted[None, :, :axes]) & (centres <= wanted[None, :, axes:])).all(-1).numpy()
    # Of two lesions that both hold the centre, the one that it overlaps more.
    return np.where(inside, 1e-6 + overlap, 0.0)
