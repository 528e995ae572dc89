"""The explanation as extra soft labels: every region of an image gets the distribution over classes that the teacher's maps give it."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.attribution.cam import cam
from medkd.distillation._reduce import divergence, pooled, require_teacher, tempered
from medkd.knowledge.interface import Knowledge
from medkd.targets import class_logit
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher", "head"})
TASKS = frozenset({"classification"})
SOURCE = "class maps (Zhou et al. 2016) read as dense labels, after Yun et al. 2021 (ReLabel, 2101.05022)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def explanation_labels(student: Trace, teacher: Knowledge | None, sample: Sample, *, grid: int = 8, temperature: Number = 4.0) -> Scalar:
    """Return T^2 KL over classes between teacher's and student's class maps, mean over the cells of a grid and over cases.

    A class map scaled by the number of its cells averages to the class's logit (for heads without a bias): each cell has logits of its
    own, and the ordinary soft label is their mean. Unlike the cosine of two maps this also says *how much* evidence a region holds.

    Args:
        student: trace with the ``cam_layer`` tapped, logits [batch, classes].
        teacher: gives ``attribution("cam", class_logit(c))`` for each class c of the student.
        sample: weights of the cases.
        grid: maps are averaged to at most this many cells along each axis.
        temperature: T; the factor T^2 keeps gradients comparable over temperatures.
    """
    knowledge = require_teacher(teacher, "explanation_labels")
    student_cells, teacher_cells = [], []
    for index in range(student.logits.shape[1]):
        target = class_logit(index)
        student_cells.append(_cell_logits(cam(student, target, differentiable=True, max_cells=grid), student, grid))
        teacher_cells.append(_cell_logits(knowledge.attribution("cam", target).float(), student, grid))
    apart = divergence(torch.stack(teacher_cells, 1), torch.stack(student_cells, 1), temperature)
    return tempered(apart.mean(1), sample, temperature)


def _cell_logits(attribution: Tensor, student: Trace, grid: int) -> Tensor:
    """Return [batch, cells] whose mean over the cells is the map's share of the logit.

    The closed-form map sums to the logit over the *layer's* grid; interpolated to the image it keeps its values, so its mean times the
    number of the layer's cells is the logit.
    """
    cells = student.feature(student.layer_map.cam_layer)[0, 0].numel()
    return pooled(attribution, grid) * cells
