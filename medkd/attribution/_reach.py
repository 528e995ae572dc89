"""How far a network sees: which voxels of the image can change an answer, found once per network by a dry backward pass."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from medkd.trace import trace

#: For each axis, first and last plus one.
Box = tuple[tuple[int, int], ...]
#: By network (not by what it looks like: two may look alike and see differently far) and size of the image.
_FOUND: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], tuple[int, ...] | None]] = WeakKeyDictionary()
#: Places within a stride see differently far: this many along an axis are tried, as much as five halvings.
_PLACES = 32


def reach_of(model: nn.Module, image: Tensor) -> tuple[int, ...] | None:
    """Return how many voxels away along each axis the image can change a voxel's logits; None where there is no bound short of the image.

    Args:
        model: a segmentation network; a copy of it is asked, with weights that cannot cancel and nothing rectified away.
        image: [batch, channel, *space], of the size that is asked about.
    """
    shape = tuple(image.shape[1:])
    known = _FOUND.setdefault(model, {})
    if shape not in known:
        far = [_measured(model, shape, axis) for axis in range(len(shape) - 1)]
        known[shape] = None if None in far else tuple(reach for reach in far if reach is not None)
    return known[shape]


def boxes_of(masks: Sequence[Tensor], reach: tuple[int, ...] | None) -> list[Box]:
    """Return for each mask [1, *space] the box of all that its voxels can see."""
    boxes = []
    for mask in masks:
        space = mask.shape[1:]
        places = mask[0].nonzero()
        if reach is None or not len(places):
            boxes.append(tuple((0, extent) for extent in space))
            continue
        low, high = places.amin(0).tolist(), places.amax(0).tolist()
        boxes.append(tuple((max(0, a - far), min(extent, b + far + 1)) for a, b, far, extent in zip(low, high, reach, space, strict=True)))
    return boxes


def groups_of(boxes: Sequence[Box]) -> list[list[int]]:
    """Return groups of boxes that do not meet, greedily."""
    groups: list[list[int]] = []
    for index, box in enumerate(boxes):
        for group in groups:
            if not any(_meet(box, boxes[other]) for other in group):
                group.append(index)
                break
        else:
            groups.append([index])
    return groups


def _meet(first: Box, second: Box) -> bool:
    return all(a < d and c < b for (a, b), (c, d) in zip(first, second, strict=True))


def _measured(model: nn.Module, shape: tuple[int, ...], axis: int) -> int | None:
    """Follow the gradient of voxels in the middle back along one axis of an image that is thin along the others."""
    dry = copy.deepcopy(model).cpu().float().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in dry.named_parameters():
            # Means over what a unit reads, unequal ones: nothing cancels, not even in a difference of two networks, and nothing grows or
            # vanishes faster than the number of paths.
            fan = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.copy_(torch.empty_like(parameter).uniform_(0.5, 1.5, generator=generator) / fan)
            if name.endswith("bias"):
                parameter.zero_()
        for module in dry.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None and module.running_var is not None:
                module.running_mean.zero_()
                module.running_var.fill_(1.0)
    extent = shape[axis + 1]
    image = torch.ones(
        1, shape[0], *(extent if at == axis else min(size, _PLACES) for at, size in enumerate(shape[1:])), requires_grad=True
    )
    answer = trace(dry, image).logits
    if answer.shape[2:] != image.shape[2:]:
        return None
    width = min(_PLACES, extent // 4)
    begin = (extent - width) // 2
    (seen,) = torch.autograd.grad(answer.narrow(axis + 2, begin, width).sum(), image)
    places = seen.abs().movedim(axis + 2, 0).flatten(1).sum(1).nonzero()
    if not len(places):
        return None
    low, high = int(places.min()), int(places.max())
    return None if low == 0 or high + 1 == extent else max(begin - low, high - (begin + width - 1))
