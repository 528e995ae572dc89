"""What changes when parts of the image are hidden: the student's answer reacts as the teacher's does."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional

from medkd.distillation._reduce import asked, over_batch, over_voxels
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace, running_statistics
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "views"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "own; perturbation-based explanation in the loss, cf. RISE (Petsiuk et al. 2018) and KernelSHAP (Lundberg and Lee 2017)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def response_matching(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, patterns: int = 2, cells: int = 4, hidden: float = 0.25, seed: int = 0
) -> Scalar:
    """Return the squared gap of responses, response = logits(image) - logits(image with parts hidden), mean over classes.

    No double backward: an occlusion explains by asking again. The patterns are drawn once from ``seed`` and are the same for every
    batch; what is hidden gets the image's own mean. Student and teacher see the same images, both with running statistics, so that the
    gap is never one of batch statistics.

    Args:
        student: trace whose model is asked again, 1 + ``patterns`` images a case.
        teacher: answers about the hidden images too (``about``).
        sample: weights and valid mask.
        patterns: how many ways to hide.
        cells: the image is divided into this many cells along each axis.
        hidden: share of the cells that a pattern hides.
        seed: of the patterns.
    """
    knowledge = asked(teacher, "response_matching")
    image, n = student.image, len(student.image)
    masks = _patterns(image.ndim - 2, patterns, cells, hidden, seed).to(image.device)
    views = torch.cat([image, *(_hide(image, mask) for mask in masks)])
    with running_statistics(student.model):
        mine = student.model(views).float()
    theirs = torch.cat([knowledge.logits().float(), *(knowledge.about(v).logits().float() for v in views[n:].split(n))])
    gap = (mine - theirs).reshape(1 + patterns, n, *mine.shape[1:])
    squared = (gap[:1] - gap[1:]).square().mean(2).mean(0)
    return over_batch(squared if squared.ndim == 1 else over_voxels(squared, sample.valid_mask), sample)


def _hide(image: Tensor, mask: Tensor) -> Tensor:
    """Return the image [batch, channel, *space] with its mean where the mask [1, 1, *cells], brought to its size, is 1."""
    covers = functional.interpolate(mask, size=image.shape[2:], mode="nearest")
    mean = image.flatten(2).mean(2).reshape(*image.shape[:2], *(1,) * (image.ndim - 2))
    return torch.lerp(image, mean.expand_as(image), covers.to(image.dtype).expand_as(image))


@functools.cache
def _patterns(space: int, patterns: int, cells: int, hidden: float, seed: int) -> Tensor:
    """Return float32 masks [patterns, 1, 1, *cells], 1 where hidden; each hides the same number of cells."""
    count = cells**space
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(patterns, count)
    for mask in masks:
        mask[torch.randperm(count, generator=generator)[: max(1, round(hidden * count))]] = 1.0
    return masks.reshape(patterns, 1, 1, *(cells,) * space)
