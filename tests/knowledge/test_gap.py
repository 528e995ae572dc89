from __future__ import annotations

import pytest
import torch

from medkd.inference.predict import predict_logits
from medkd.knowledge.gap import margin_gap
from medkd.targets import class_margin


@pytest.mark.parametrize("task", ["classification"])
def test_the_gap_is_the_teachers_score_less_the_students_case_by_case(make_network, make_sample):
    teacher, student, images = make_network(0).eval(), make_network(1).eval(), make_sample(3).image
    target = class_margin(torch.tensor([0, 1, 0]))
    gap = margin_gap(teacher, student, images, target)
    assert torch.allclose(gap, target(predict_logits(teacher, images)) - target(predict_logits(student, images)), atol=1e-5)
    assert not gap.requires_grad
    assert torch.allclose(margin_gap(teacher, teacher, images, target), torch.zeros(3), atol=1e-6)
