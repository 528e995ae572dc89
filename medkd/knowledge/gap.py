"""Where student and teacher part: the gap of their margins per case, and its attribution per voxel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medkd.catalogue import EXPLAINERS
from medkd.targets import Target
from medkd.trace import anatomy_of, frozen, trace, with_anatomy
from medkd.types import AttributionMap, Images, Scores


class Difference(nn.Module):
    """The network whose logits are the teacher's minus the student's: what explains it explains the gap.

    Its anatomy is the student's (layers below ``student``), so that it can be traced like any network; its class maps would be the
    student's alone, so only explanations of the input make sense of it.
    """

    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        super().__init__()
        self.teacher, self.student = teacher, student
        with_anatomy(self, anatomy_of(student))

    def forward(self, image: Images) -> Tensor:
        """Return teacher's logits minus the student's, [batch, classes, *space]."""
        answer: Tensor = self.teacher(image) - self.student(image)
        return answer


def margin_gap(teacher: nn.Module, student: nn.Module, images: Images, target: Target) -> Scores:
    """Return the teacher's score of a target less the student's, per case [batch], in logits."""
    difference = Difference(teacher, student)
    with frozen(difference), torch.no_grad():
        return target(difference(images).float())


def gap_attribution(teacher: nn.Module, student: nn.Module, images: Images, target: Target, *, steps: int = 8) -> AttributionMap:
    """Return the integrated gradients of the gap, [batch, *space], signed, in logits.

    Integrated gradients are linear in the explained function, so this is the teacher's map minus the student's, in one path; values of a
    case sum to its gap less the gap at the baseline image (Sundararajan et al. 2017).

    Args:
        teacher: frozen or not; nothing of it changes.
        student: as the teacher.
        images: [batch, channel, *space].
        target: linear in the logits.
        steps: nodes of the path integral.
    """
    difference = Difference(teacher, student)
    method = EXPLAINERS.bind("integrated_gradients", {"steps": steps})
    with frozen(difference), torch.no_grad():
        kept = trace(difference, images)
    attribution: AttributionMap = method(kept, target)
    return attribution
