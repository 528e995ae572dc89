"""Soft targets in which a small structure counts as much as the background."""

from __future__ import annotations

import torch
from torch.nn import functional

from medkd.distillation._reduce import divergence, over_batch, require_teacher
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import answer_of
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"segmentation"})
SOURCE = "Hinton et al. 2015 (1503.02531), averaged per region of the teacher's answer, then over regions"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True
_TINY = 1e-8


def class_balanced_kd(student: Trace, teacher: Knowledge | None, sample: Sample, *, temperature: Number = 4.0) -> Scalar:
    """Return T^2 KL(teacher || student), averaged over the voxels of each class that the teacher answers, then over those classes.

    Args:
        student: logits [batch, classes, *space].
        teacher: its logits, same shape; its answer is where a class is.
        sample: weights and valid mask: a voxel that is not valid belongs to no class.
        temperature: T; the factor T^2 keeps gradients comparable over temperatures.
    """
    teacher_logits = require_teacher(teacher, "class_balanced_kd").logits().float()
    apart = divergence(teacher_logits, student.logits.float(), temperature)
    regions = functional.one_hot(answer_of(teacher_logits), teacher_logits.shape[1]).movedim(-1, 1).to(apart)
    if sample.valid_mask is not None:
        regions = regions * sample.valid_mask.to(apart)[:, None]
    voxels = regions.flatten(2).sum(2)
    per_class = (regions * apart[:, None]).flatten(2).sum(2) / voxels.clamp_min(_TINY)
    # A class that the teacher does not answer has no voxels: its zero is no agreement, and must not be averaged in.
    occurs = (voxels > 0).to(apart)
    balanced = (per_class * occurs).sum(1) / occurs.sum(1).clamp_min(_TINY)
    return temperature**2 * over_batch(balanced, sample, present=torch.any(occurs > 0, dim=1))
