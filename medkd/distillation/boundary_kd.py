"""Soft targets where the teacher draws a border: most of a segmentation is beyond doubt, its border is not."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from medkd.distillation._reduce import divergence, require_teacher, tempered
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import answer_of
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"segmentation"})
SOURCE = "Hinton et al. 2015 (1503.02531), weighted by exp(-distance / decay) to the border of the teacher's answer"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True
#: Beyond this many decays a weight is taken as it is there: exp(-4) = .018.
_REACH = 4


def boundary_kd(student: Trace, teacher: Knowledge | None, sample: Sample, *, temperature: Number = 4.0, decay: float = 2.0) -> Scalar:
    """Return T^2 KL(teacher || student), the mean over voxels weighted by exp(-d / decay).

    Args:
        student: logits [batch, classes, *space].
        teacher: its logits, same shape; d is the distance in voxels (the largest of the steps along the axes) to the nearest voxel that
            it answers otherwise, 0 for voxels that touch one.
        sample: weights and valid mask.
        temperature: T; the factor T^2 keeps gradients comparable over temperatures.
        decay: voxels over which the weight falls to 1/e.
    """
    teacher_logits = require_teacher(teacher, "boundary_kd").logits().float()
    weights = torch.exp(-border_distance(answer_of(teacher_logits), most=math.ceil(_REACH * decay)) / decay)
    if sample.valid_mask is not None:
        weights = weights * sample.valid_mask.to(weights)
    return tempered(divergence(teacher_logits, student.logits.float(), temperature), sample, temperature, weights)


def border_distance(answer: Tensor, *, most: int) -> Tensor:
    """Return how many steps (in any direction, diagonals too) a voxel is from touching another class: float [batch, *space], at most ``most``.

    Computed by growing the border, so that it runs on any device.
    """
    values = answer[:, None].float()
    pool = {3: functional.max_pool1d, 4: functional.max_pool2d, 5: functional.max_pool3d}[values.ndim]

    def grown(mask: Tensor) -> Tensor:
        return pool(mask, kernel_size=3, stride=1, padding=1)

    near = (grown(values) != -grown(-values)).float()
    distance = torch.full_like(values, float(most))
    for step in range(most):
        distance = torch.where((near > 0) & (distance > step), torch.full_like(values, float(step)), distance)
        near = grown(near)
    return distance[:, 0]
