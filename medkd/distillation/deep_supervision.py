"""The task's own term at coarser levels of the decoder: gradients reach the deep layers by a short way."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import RecipeError
from medkd.distillation.cross_entropy import cross_entropy
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"labels", "deep_heads"})
TASKS = frozenset({"segmentation"})
SOURCE = "Lee et al. 2015 (1409.5185); weights halved per level: Isensee et al. 2021 (nnU-Net)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = False


def deep_supervision(student: Trace, teacher: Knowledge | None, sample: Sample, *, dice: float = 1.0) -> Scalar:
    """Return ``cross_entropy`` averaged over the coarser heads, each level with half the weight of the one before.

    Labels are taken at the voxel nearest to each coarser voxel's centre; what is padded or missing stays so.

    Args:
        student: trace with the anatomy's ``deep_heads`` tapped, logits [batch, classes, *coarser space] each.
        teacher: not used.
        sample: labels [batch, *space], -1 where missing.
        dice: weight of the Dice loss, as in ``cross_entropy``.

    Raises:
        RecipeError: ``RECIPE_NEEDS`` when the network has no such heads.
    """
    heads = student.layer_map.deep_heads
    if not heads:
        raise RecipeError(
            "RECIPE_NEEDS",
            f"expected a network with deep_supervision heads (dyn_unet, deep_supervision of 1 or more), {type(student.model).__name__} has none",
        )
    weights = [0.5**level for level in range(len(heads))]
    values = []
    for name in heads:
        logits = student.feature(name)
        space = tuple(logits.shape[2:])
        # Masks are of the full grid, and cross_entropy reads none.
        coarse = replace(sample, labels=_nearest(sample.labels, space), valid_mask=_nearest(sample.valid_mask, space), masks=None)
        values.append(cross_entropy(replace(student, outputs={student.head: logits}), teacher, coarse, dice=dice))
    total: Tensor = sum((w * v for w, v in zip(weights, values, strict=True)), torch.zeros((), device=student.logits.device))
    return total / sum(weights)


def _nearest(values: Tensor | None, space: tuple[int, ...]) -> Tensor | None:
    if values is None:
        return None
    # torch's `nearest` counts from the corner and shifts labels by up to half a coarse voxel; `nearest-exact` counts from centres.
    return functional.interpolate(values[:, None].float(), size=space, mode="nearest-exact")[:, 0].to(values.dtype)
