"""Soft labels corrected by the hard ones: a teacher that is wrong is not believed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medkd.distillation._reduce import require_teacher, tempered
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import answer_of
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher", "labels"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "label refinement by blending, after Bagherinezhad et al. 2018 (1805.02641); weighted: WSLD, Zhou et al. ICLR 2021 (2102.00650)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = False
UNPAIRED = "a teacher that is wrong leaves the hard label, so that another patient's, which mostly is, does as well; what soft labels add must be shown in an experiment"


def soft_label_refinement(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    blend: float = 0.1,
    where_wrong: float = 1.0,
    weighted: bool = False,
    temperature: Number = 1.0,
) -> Scalar:
    """Return T^2 KL(q || student) with q = (1 - b) teacher + b label; b is ``where_wrong`` where the teacher's answer is not the label.

    Args:
        student: logits [batch, classes, *space].
        teacher: its logits, same shape.
        sample: labels [batch, *space], -1 where missing (b is 0 there); weights, valid mask.
        blend: share of the hard label where the teacher is right.
        where_wrong: share of the hard label where it is wrong; 1 leaves the teacher no say there.
        weighted: weigh each voxel by 1 - exp(-CE(student) / CE(teacher)) at the label: where the student already does better than the
            teacher there is little to be learnt from it (bias and variance of soft labels). Voxels without a label count whole.
        temperature: T of both distributions.
    """
    teacher_logits = require_teacher(teacher, "soft_label_refinement").logits().float()
    soft = (teacher_logits / temperature).softmax(1)
    labels = (
        torch.full(answer_of(teacher_logits).shape, -1, device=teacher_logits.device) if sample.labels is None else sample.labels.long()
    )
    share = torch.where(answer_of(teacher_logits) == labels, blend, where_wrong) * (labels >= 0)
    hard = functional.one_hot(labels.clamp_min(0), teacher_logits.shape[1]).movedim(-1, 1).to(soft)
    target = torch.lerp(soft, hard, share[:, None].to(soft))
    log_student = functional.log_softmax(student.logits.float() / temperature, dim=1)
    # xlogy is 0 at 0: a hard label has classes of no probability, whose logarithm is not finite.
    values: Tensor = (torch.xlogy(target, target) - target * log_student).sum(1)
    if weighted:
        # Without a gradient: as a factor that learns it could be lowered by getting worse at the label.
        values = values * _still_to_learn(student.logits.detach().float(), teacher_logits, labels)
    return tempered(values, sample, temperature)


def _still_to_learn(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 - exp(-CE_student / CE_teacher) at the label, 1 where there is none."""
    classes = labels.clamp_min(0)
    ratio = functional.cross_entropy(student_logits, classes, reduction="none") / functional.cross_entropy(
        teacher_logits, classes, reduction="none"
    ).clamp_min(1e-6)
    return torch.where(labels >= 0, 1 - torch.exp(-ratio), torch.ones_like(ratio))
