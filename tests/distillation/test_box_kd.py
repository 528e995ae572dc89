"""Only where the teacher is sure."""

from __future__ import annotations

import pytest
import torch

from medkd.distillation.box_kd import box_kd
from tests.distillation.cells import labelled, traced
from tests.knowledge.precomputed import PrecomputedKnowledge


def test_boxes_follow_the_teacher_where_it_is_sure_and_nowhere_else():
    logits, wanted = torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, 4)
    logits[:, 1] = -5
    logits[0, 1, 1, 2], logits[0, 1, 3, 3] = 3.0, 0.0
    student = torch.full((1, 4, 4, 4), 9.0)
    student[0, :, 1, 2], student[0, :, 3, 3] = 0.0, 0.0
    student[0, 1, 1, 2] = 2.0
    teacher = PrecomputedKnowledge(logits, features={"boxes": wanted})
    trace = traced(torch.zeros(1, 2, 4, 4), student)
    assert float(box_kd(trace, teacher, labelled())) == pytest.approx(1.5 / 2)
    assert float(box_kd(trace, teacher, labelled(), sure=0.9)) == pytest.approx(1.5)
    assert float(box_kd(trace, teacher, labelled(), sure=0.999)) == 0
