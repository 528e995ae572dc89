"""Images with parts hidden, and the patterns that hide them: shared by the terms that ask about such images."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional


def hide(image: Tensor, mask: Tensor) -> Tensor:
    """Return the image [batch, channel, *space] with its mean where the mask [1, 1, *cells], brought to its size, is 1."""
    covers = functional.interpolate(mask, size=image.shape[2:], mode="nearest")
    # The image's own mean: black would be an intensity of its own, far from anything that the networks have seen.
    mean = image.flatten(2).mean(2).reshape(*image.shape[:2], *(1,) * (image.ndim - 2))
    return torch.lerp(image, mean.expand_as(image), covers.to(image.dtype).expand_as(image))


@functools.cache
def occlusion_patterns(space: int, patterns: int, cells: int, hidden: float, seed: int) -> Tensor:
    """Return float32 masks [patterns, 1, 1, *cells], 1 where hidden; each hides the same number of cells."""
    # Kept for all batches: patterns that changed would make the gap noisy, and drawing them costs more than hiding.
    count = cells**space
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(patterns, count)
    for mask in masks:
        mask[torch.randperm(count, generator=generator)[: max(1, round(hidden * count))]] = 1.0
    return masks.reshape(patterns, 1, 1, *(cells,) * space)
