"""How far student and teacher part on each case."""

from __future__ import annotations

import torch
from torch import nn

from medkd.attribution.gap_attribution import Difference
from medkd.targets import Target
from medkd.trace import frozen
from medkd.types import Images, Scores


def margin_gap(teacher: nn.Module, student: nn.Module, images: Images, target: Target) -> Scores:
    """Return the teacher's score of a target less the student's, per case [batch], in logits."""
    difference = Difference(teacher, student)
    with frozen(difference), torch.no_grad():
        return target(difference(images).float())
