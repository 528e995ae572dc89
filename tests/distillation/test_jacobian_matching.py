from __future__ import annotations

import pytest
from torch import nn

from medkd.distillation.jacobian_matching import jacobian_matching
from medkd.knowledge.interface import LiveKnowledge
from medkd.trace import LayerMap, Sample, trace, with_layer_map


class Linear(nn.Module):
    """Logits = W image, so that the gradient of a margin is a difference of rows."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)
        with_layer_map(self, LayerMap(feature_layers=("inner",), cam_layer="inner", head="inner"))
        self.inner = nn.Identity()

    def forward(self, image):
        return self.inner(image).flatten(1) @ self.weight.T


def test_by_hand_on_linear_networks(draw):
    student_values, teacher_values = draw(2, 64, seed=1), draw(2, 64, seed=2)
    student, teacher = Linear(student_values), Linear(teacher_values).eval()
    sample = Sample(inputs={"image": draw(3, 1, 8, 8, seed=3)})
    value = jacobian_matching(trace(student, sample.inputs), LiveKnowledge(teacher, sample.inputs), sample, grid=64)
    s, t = ((w[1] - w[0]) / (w[1] - w[0]).norm() for w in (student_values, teacher_values))
    assert float(value) == pytest.approx(float((s - t).square().sum()), rel=1e-4)
    value.backward()
    assert float(student.weight.grad.abs().max()) > 0
