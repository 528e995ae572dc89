"""Channel-wise distillation: where in the image each class is most present, relative to the rest of the image."""

from __future__ import annotations

from medkd.distillation._reduce import centred, divergence, require_teacher, tempered
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"segmentation"})
SOURCE = "CWD, Shu et al. ICCV 2021 (2011.13256), on logits centred over the classes"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def channel_wise(student: Trace, teacher: Knowledge | None, sample: Sample, *, temperature: Number = 4.0) -> Scalar:
    """Return T^2 / C times the sum over classes of KL(softmax over voxels of teacher/T || of student/T), mean over cases.

    Each class's logits become a distribution over the voxels of the case: a constant added to a class does not matter, its places do.
    Logits are centred over the classes of each voxel first: how large all of them are together is no answer, and no store keeps it.

    Args:
        student: logits [batch, classes, *space].
        teacher: its logits, same shape.
        sample: weights; voxels that are not valid are left out of the distributions.
        temperature: T.
    """
    teacher_logits = centred(require_teacher(teacher, "channel_wise").logits().float()).flatten(2)
    student_logits = centred(student.logits.float()).flatten(2)
    if sample.valid_mask is not None:
        outside = ~sample.valid_mask.flatten(1)[:, None].bool()
        # Far below every logit rather than minus infinity: 0 * inf would be NaN in the divergence.
        teacher_logits, student_logits = teacher_logits.masked_fill(outside, -1e4), student_logits.masked_fill(outside, -1e4)
    return tempered(divergence(teacher_logits, student_logits, temperature, dim=2).mean(1), sample, temperature)
