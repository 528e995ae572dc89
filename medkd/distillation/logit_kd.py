"""Soft targets: the student's tempered distribution follows the teacher's."""

from __future__ import annotations

from torch import Tensor

from medkd.distillation._reduce import divergence, grown, require_teacher, tempered
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import answer_of
from medkd.trace import Sample, Trace
from medkd.types import Logits, Number, Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "Hinton et al. 2015 (1503.02531)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def logit_kd(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, temperature: Number = 4.0, background: float = 1.0, dilation: int = 3
) -> Scalar:
    """Return T^2 KL(softmax(teacher/T) || softmax(student/T)): summed over classes, weighted mean over voxels, mean over cases.

    Args:
        student: logits [batch, classes, *space].
        teacher: its logits, same shape.
        sample: weights and valid mask.
        temperature: T; the factor T^2 keeps gradients comparable over temperatures.
        background: weight of voxels away from the teacher's foreground, relative to 1 inside it. Below 1 the few foreground
            voxels of a segmentation are not drowned by background; classification ignores it.
        dilation: voxels (of the grid that the teacher answers on) by which its foreground is grown before weighting.
    """
    teacher_logits = require_teacher(teacher, "logit_kd").logits().float()
    weights = None if teacher_logits.ndim == 2 else _voxel_weights(teacher_logits, sample, background, dilation)
    return tempered(divergence(teacher_logits, student.logits.float(), temperature), sample, temperature, weights)


def _voxel_weights(logits: Logits, sample: Sample, background: float, dilation: int) -> Tensor:
    """Return 1 within ``dilation`` voxels of the teacher's foreground, ``background`` elsewhere, 0 where voxels are not valid."""
    near = grown(answer_of(logits) > 0, dilation).to(logits.dtype)
    weights = background + (1 - background) * near
    if sample.voxel_weights is not None:
        weights = weights * sample.voxel_weights.to(weights)
    return weights if sample.valid_mask is None else weights * sample.valid_mask.to(weights)
