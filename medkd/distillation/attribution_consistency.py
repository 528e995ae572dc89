"""The map moves with the image: an explanation that stays when the image is mirrored is not about the image."""

from __future__ import annotations

import torch

from medkd.catalogue import EXPLAINERS
from medkd.distillation._reduce import over_batch, pooled, unit_norm
from medkd.knowledge.interface import Knowledge
from medkd.targets import Target, class_margin, lesion_margin
from medkd.trace import Sample, Trace, running_statistics
from medkd.trace import trace as run
from medkd.types import Scalar

NEEDS = frozenset({"explainer"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "visual attention consistency under transforms, Guo et al. CVPR 2019"
RANGE = (0.0, 2.0)
MINIMUM_AT_TEACHER = False
STOPS_GRADIENT = "the region that is explained is where the student answers a lesion, which moves by jumps"


def attribution_consistency(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, explainer: str = "cam", grid: int = 16, axis: int = -1
) -> Scalar:
    """Return 1 - cosine of the mirrored image's map with the mirrored map of the image, mean over cases that have an answer.

    Both are explained in one further forward pass with running statistics (a pass of mirrored images must not shift them). What is
    explained is the student's own answer: its class, or the region that it segments.

    Args:
        student: trace whose model is asked again.
        teacher: not used: an image has its mirror image without one.
        sample: weights of the cases.
        explainer: any entry of the catalogue that declares DIFFERENTIABLE.
        grid: maps are averaged to at most this many cells along each axis before they are compared.
        axis: axis of space that is mirrored, counted from the end.
    """
    del teacher
    method, cases = EXPLAINERS.load(explainer), len(student.image)
    # Both in one pass and one call of the explainer: that is all that this term costs.
    both = torch.cat([student.image, student.image.flip(axis)])
    with running_statistics(student.model):
        both_traced = run(student.model, both, layers=(student.layer_map.cam_layer,))
    target, present = _own_answer(both_traced, cases, axis)
    maps = method(both_traced, target, differentiable=True)
    upright, mirrored = maps[:cases], maps[cases:].flip(axis)
    cosine = (unit_norm(pooled(upright, grid)) * unit_norm(pooled(mirrored, grid))).sum(1)
    return over_batch(1 - cosine, sample, present)


def _own_answer(both_traced: Trace, cases: int, axis: int) -> tuple[Target, torch.Tensor]:
    """Return the answer about the images as they are, put to their mirror images too, and which cases have one."""
    answer = both_traced.logits[:cases].argmax(1)
    if answer.ndim == 1:
        return class_margin(torch.cat([answer, answer])), torch.ones(cases, dtype=torch.bool, device=answer.device)
    # Mirrored with the image: the region of the image as it is lies elsewhere in its mirror image.
    region = (answer > 0).to(torch.uint8)
    return lesion_margin(torch.cat([region, region.flip(axis)])), region.flatten(1).any(1)
