"""Class attention transfer: all class maps of the teacher, pooled, in closed form."""

from __future__ import annotations

import torch

from medkd.attribution.cam import cam
from medkd.distillation._reduce import asked, over_batch, pooled, unit_norm
from medkd.knowledge.interface import Knowledge
from medkd.targets import class_logit
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "head"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "CAT-KD, Guo et al. CVPR 2023 (2304.12777)"
RANGE = (0.0, 4.0)
MINIMUM_AT_TEACHER = True


def cam_transfer(student: Trace, teacher: Knowledge | None, sample: Sample, *, grid: int = 8) -> Scalar:
    """Return the squared distance of unit-norm class maps, averaged over classes: 2 (1 - cosine), so in [0, 4].

    Args:
        student: trace with the ``cam_layer`` tapped.
        teacher: gives ``attribution("cam", class_logit(c))`` for each class c of the student.
        sample: weights of the cases.
        grid: maps are averaged to at most this many cells along each axis, so that grids of different size compare.
    """
    knowledge = asked(teacher, "cam_transfer")
    distances = []
    for index in range(student.logits.shape[1]):
        target = class_logit(index)
        mine = unit_norm(pooled(cam(student, target, differentiable=True), grid))
        theirs = unit_norm(pooled(knowledge.attribution("cam", target).float(), grid))
        distances.append((mine - theirs).square().sum(1))
    return over_batch(torch.stack(distances).mean(0), sample)
