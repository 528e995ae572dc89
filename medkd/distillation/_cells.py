"""What a detector's cells should say, read off the label maps of a batch, and the boxes that its cells put out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from data_contracts import RecipeError
from medkd.attribution._grid import averaged
from medkd.measures._boxes import boxes_of_labels, centre_of
from medkd.trace import Sample, Trace

#: Width of a centre's bump as a share of the lesion's size, and its least width in cells.
SPREAD, LEAST_SPREAD = 1 / 6, 0.5
#: Cells of a bump from this height on also learn the box.
NEAR = 0.5
BOXES = "boxes"


@dataclass(frozen=True)
class Cells:
    """Targets of the cells of a grid.

    Attributes:
        heat: float32 [batch, classes - 1, *cells], 1 at the cell that holds a lesion's centre, falling to 0 around it.
        boxes: float32 [batch, 2 x axes, *cells], offset and log size in cells; zeros where ``inside`` is False.
        inside: bool [batch, *cells], where a box is to be learned.
        counts: float32 [batch], lesions of each case.
        known: bool [batch], whether anybody has looked for lesions.
        valid: bool [batch, *cells], where the image was measured.
    """

    heat: Tensor
    boxes: Tensor
    inside: Tensor
    counts: Tensor
    known: Tensor
    valid: Tensor


def cells_of(sample: Sample, logits: Tensor) -> Cells:
    """Return what the cells of a detector's logits [batch, classes, *cells] should say of a batch: lesions are the components of its labels."""
    grid, space, device = tuple(logits.shape[2:]), tuple(sample.image.shape[2:]), logits.device
    count, axes = len(logits), len(grid)
    heat = torch.zeros(count, logits.shape[1] - 1, *grid)
    boxes, inside = torch.zeros(count, 2 * axes, *grid), torch.zeros(count, *grid, dtype=torch.bool)
    counts, known = torch.zeros(count), torch.zeros(count, dtype=torch.bool)
    stride = torch.tensor([extent / cells for extent, cells in zip(space, grid, strict=True)])
    for row in range(count if sample.labels is not None else 0):
        labels = sample.labels[row]  # type: ignore[index]
        known[row] = bool((labels >= 0).any())
        places, classes = boxes_of_labels(labels)
        counts[row] = len(places)
        for place, index in zip(places, classes.tolist(), strict=True):
            bump, box = _bump(place, stride, grid), _box(place, stride, grid)
            heat[row, index - 1] = torch.maximum(heat[row, index - 1], bump)
            boxes[row], inside[row] = torch.where(bump >= NEAR, box, boxes[row]), inside[row] | (bump >= NEAR)
    valid = torch.ones(count, *grid, dtype=torch.bool, device=device)
    if sample.valid_mask is not None:
        valid = averaged(sample.valid_mask[:, None].float(), list(grid))[:, 0] > 0.5
    return Cells(heat.to(device), boxes.to(device), inside.to(device), counts.to(device), known.to(device), valid.to(device))


def box_head(student: Trace, loss: str) -> Tensor:
    """Return what a detector's box head puts out, float32 [batch, 2 x axes, *cells].

    Raises:
        RecipeError: ``RECIPE_NEEDS`` for a network without one.
    """
    if BOXES not in student.outputs:
        raise RecipeError(
            "RECIPE_NEEDS", f"expected a network with a box head (detector) for the loss {loss!r}, got {type(student.model).__name__}"
        )
    return student.outputs[BOXES].float()


def lesion_logits(logits: Tensor) -> Tensor:
    """Return each lesion class's logit against the background, float32 [batch, classes - 1, *cells]: its sigmoid is the score."""
    return logits[:, 1:].float() - logits[:, :1].float()


def smooth_distance(found: Tensor, wanted: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Return the smooth L1 distance of boxes [batch, 2 x axes, *cells] per case [batch], mean over cells inside; and which cases have any."""
    gap = torch.nn.functional.smooth_l1_loss(found, wanted, reduction="none").sum(1)
    number = inside.flatten(1).sum(1)
    # Chosen, not multiplied: what a far cell says is anything, and may be infinite.
    value = torch.where(inside, gap, 0.0).flatten(1).sum(1) / number.clamp_min(1)
    return value, number > 0


def _centres(grid: tuple[int, ...]) -> Tensor:
    """Return the centres of all cells, in cells: [axes, *cells]."""
    return torch.stack(torch.meshgrid(*(torch.arange(cells) + 0.5 for cells in grid), indexing="ij"))


def _bump(place: Tensor, stride: Tensor, grid: tuple[int, ...]) -> Tensor:
    axes = len(grid)
    centre, size = centre_of(place[None])[0] / stride, (place[axes:] - place[:axes]) / stride
    spread = (SPREAD * size).clamp_min(LEAST_SPREAD)
    tail = (-1, *(1,) * axes)
    bump = torch.exp(-0.5 * ((_centres(grid) - centre.view(tail)) / spread.view(tail)).square().sum(0))
    own = tuple(min(max(int(at), 0), cells - 1) for at, cells in zip(centre, grid, strict=True))
    bump[own] = 1.0
    return bump


def _box(place: Tensor, stride: Tensor, grid: tuple[int, ...]) -> Tensor:
    axes = len(grid)
    tail = (-1, *(1,) * axes)
    centre, size = centre_of(place[None])[0] / stride, (place[axes:] - place[:axes]) / stride
    return torch.cat([centre.view(tail) - _centres(grid), size.log().view(tail).expand(axes, *grid)])
