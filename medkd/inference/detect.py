"""From a detector's cells, or a segmentation's probabilities, to scored boxes in an image's own voxels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import Geometry, Task
from medkd.attribution._chunk import passes_at_once
from medkd.cohorts.volume_cohort import cut
from medkd.inference.components import find_components
from medkd.measures._boxes import Boxes, box_iou, boxes_of_labels
from medkd.trace import frozen, trace
from medkd.types import Images

#: Boxes kept of an image, the least score of one, and the overlap from which on two boxes are one lesion.
MOST, LOWEST, SAME = 32, 0.05, 0.2
#: Cells looked at before boxes are merged.
_CANDIDATES = 200


def suppress(found: Boxes, *, same: float = SAME, most: int = MOST) -> Boxes:
    """Return the boxes without those that overlap a better one by more than ``same`` of their union: greedy non-maximum suppression.

    Args:
        found: boxes of one image, in any order.
        same: largest overlap of two boxes that both stay.
        most: boxes kept, the best.
    """
    order = torch.argsort(found.scores, descending=True, stable=True)
    places, scores = found.places[order], found.scores[order]
    overlap, kept, free = box_iou(places, places) > same, [], torch.ones(len(scores), dtype=torch.bool)
    for row in range(len(scores)):
        if not bool(free[row]):
            continue
        kept.append(row)
        if len(kept) == most:
            break
        free &= ~overlap[row]
    rows = torch.tensor(kept, dtype=torch.int64)
    return Boxes(places[rows], scores[rows])


def decode(logits: Tensor, boxes: Tensor, space: tuple[int, ...], *, lowest: float = LOWEST) -> list[Boxes]:
    """Return the boxes of each image, merged, best first.

    Args:
        logits: class logits [batch, 2, *cells].
        boxes: offsets and log sizes in cells, [batch, 2 x axes, *cells].
        space: extent of the images, voxels.
        lowest: least score.

    A cell stands for a lesion where no neighbour scores higher. Boxes are cut at the image's edges.
    """
    axes, grid = len(space), tuple(logits.shape[2:])
    score = (logits[:, 1] - logits[:, 0]).float().sigmoid()
    pool = torch.nn.functional.max_pool2d if axes == 2 else torch.nn.functional.max_pool3d
    peak = score == pool(score[:, None], 3, stride=1, padding=1)[:, 0]
    return [_decode_one(score[row] * peak[row], boxes[row].float(), space, grid, lowest) for row in range(len(logits))]


def _decode_one(score: Tensor, boxes: Tensor, space: tuple[int, ...], grid: tuple[int, ...], lowest: float) -> Boxes:
    axes, flat = len(space), score.flatten()
    best, rows = flat.topk(min(_CANDIDATES, len(flat)))
    rows, best = rows[best >= lowest], best[best >= lowest]
    cell = torch.stack(torch.unravel_index(rows, grid), 1)
    outputs = boxes.flatten(1)[:, rows].T
    stride = torch.tensor([extent / cells for extent, cells in zip(space, grid, strict=True)], device=outputs.device)
    centre = (cell + 0.5 + outputs[:, :axes]) * stride
    # A box is never larger than the image: exponentials of an untrained head would overflow.
    extent = torch.tensor(space, dtype=torch.float32, device=outputs.device)
    size = torch.minimum(outputs[:, axes:].clamp(max=20).exp() * stride, extent)
    low, high = (centre - size / 2).clamp_min(0), torch.minimum(centre + size / 2, extent)
    return suppress(Boxes(torch.cat([low, torch.maximum(high, low)], 1).cpu(), best.cpu()))


def detect(model: nn.Module, images: Images, *, chunk: int | None = None, lowest: float = LOWEST) -> list[Boxes]:
    """Return the boxes that a detector finds in images [n, channel, *space] of one size, in their voxels, best first.

    Args:
        model: network with a box head.
        images: as it was trained on.
        chunk: images per pass; by default what suits the device.
        lowest: least score.
    """
    chunk, found = chunk or passes_at_once(images), []
    with frozen(model), torch.no_grad():
        for begin in range(0, len(images), chunk):
            own = trace(model, images[begin : begin + chunk])
            found += decode(own.logits, own.outputs["boxes"], tuple(images.shape[2:]), lowest=lowest)
    return found


def detect_volume(model: nn.Module, volume: Tensor, task: Task, *, lowest: float = LOWEST) -> Boxes:
    """Return the boxes in one volume [channel, *space] by overlapping windows of the task's size; what several windows see is merged.

    A lesion that is cut by the edge of a window lies whole in the next one where the overlap is larger than it is; of both boxes the better
    stays.
    """
    size, space = task.image_size, tuple(volume.shape[1:])
    found: list[Boxes] = []
    for corner in _corners(space, size, task.overlap):
        patch = cut(volume, list(corner), size, fill=float(volume.min()))
        (own,) = detect(model, patch[None], lowest=lowest)
        begin, end = torch.tensor([*corner, *corner], dtype=torch.float32), torch.tensor(space, dtype=torch.float32)
        places = torch.minimum((own.places + begin).clamp_min(0), torch.cat([end, end]))
        # What was found in the padding round a small volume is nowhere.
        there = (places[:, len(size) :] > places[:, : len(size)]).all(1)
        found.append(Boxes(places[there], own.scores[there]))
    return suppress(Boxes(torch.cat([own.places for own in found]), torch.cat([own.scores for own in found])))


def _corners(space: tuple[int, ...], size: tuple[int, ...], overlap: float) -> Iterator[tuple[int, ...]]:
    """Yield where windows begin: evenly, the last one at the end; a volume that is smaller than a window lies in its middle."""
    axes = []
    for extent, window in zip(space, size, strict=True):
        if extent <= window:
            axes.append([(extent - window) // 2])
            continue
        count = int(np.ceil((extent - window) / max(1, int(window * (1 - overlap))))) + 1
        axes.append(np.linspace(0, extent - window, count).round().astype(int).tolist())
    return itertools.product(*axes)


def boxes_of_probability(probability: Tensor, *, least: float = 0.5, smallest: int = 1) -> Boxes:
    """Return the lesions of a segmentation as boxes: one per component of probabilities above ``least``, scored by its peak.

    Args:
        probability: of the lesion, [*space].
        least: probabilities up to this are no lesion.
        smallest: components of fewer voxels are left out.
    """
    values = probability.detach().cpu()
    picture = values.ndim == 2
    mask = (values > least).to(torch.uint8)
    parts = find_components((mask[None] if picture else mask).numpy(), None, smallest=smallest)
    places, scores = [], []
    for _, own in parts:
        component = torch.from_numpy(own[0] if picture else own)
        places.append(boxes_of_labels(component)[0][0])
        scores.append(values[component > 0].max())
    if not places:
        return Boxes(torch.zeros(0, 2 * values.ndim), torch.zeros(0))
    order = torch.argsort(torch.stack(scores), descending=True, stable=True)[:MOST]
    return Boxes(torch.stack(places)[order], torch.stack(scores)[order].float())


def centres_mm(found: Boxes, geometry: Geometry) -> Tensor:
    """Return where the centres of boxes lie in the patient, LPS in mm, float64 [n, 3]; boxes are of the voxels [slice, row, column] of ``geometry``."""
    affine = torch.tensor(geometry.affine_lps_mm, dtype=torch.float64)
    # Voxel i reaches from i to i + 1 in a box, and its centre is at index i of the geometry.
    centre = (found.places[:, :3] + found.places[:, 3:]).double() / 2 - 0.5
    return centre @ affine[:3, :3].T + affine[:3, 3]
