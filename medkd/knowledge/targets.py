"""What a teacher says, as a target of explanations."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.knowledge.interface import Knowledge
from medkd.targets import Target, class_margin, lesion_margin


def answer_of(logits: Tensor) -> Tensor:
    """Return the class of the largest logit, int64 [batch, *space], the first of equals: as ``argmax``, which is slow over few classes."""
    best, answer = logits[:, 0], torch.zeros_like(logits[:, 0], dtype=torch.int64)
    for index in range(1, logits.shape[1]):
        # Strictly larger: of equal logits the first class stays, as argmax has it.
        better = logits[:, index] > best
        answer = torch.where(better, index, answer)
        best = torch.maximum(best, logits[:, index])
    return answer


def teacher_target(teacher: Knowledge) -> tuple[Target, Tensor]:
    """Return what the teacher says, as a target: its class against the others, or its lesion; and which cases have one.

    Segmentation with several lesion classes takes the union of all foreground against the background of class 1.
    """
    logits = teacher.logits()
    answer = answer_of(logits)
    if logits.ndim == 2:
        return class_margin(answer), torch.ones(len(logits), dtype=torch.bool, device=logits.device)
    lesion = (answer > 0).to(torch.uint8)
    return lesion_margin(lesion), lesion.flatten(1).any(1)
