from __future__ import annotations

import pytest
import torch

from medkd.distillation.consistency import consistency
from medkd.distillation.logit_kd import logit_kd
from medkd.knowledge.interface import LiveKnowledge
from medkd.trace import Sample, trace


@pytest.mark.parametrize("view", ["mirror", "zoom", "gain"])
def test_it_is_the_soft_target_of_the_other_view(make_network, make_sample, view):
    student, teacher = make_network(0).eval(), make_network(1).eval()
    sample = make_sample(2)
    value = consistency(trace(student, sample.inputs), LiveKnowledge(teacher, sample.inputs), sample, view=view, strength=0.5)
    image = sample.image
    middle = [round((i - 15.5) / 1.5 + 15.5) for i in range(32)]
    seen = {"mirror": image.flip(-1), "gain": 1.5 * image, "zoom": image[..., middle, :][..., middle]}[view]
    other = Sample(inputs={"image": seen})
    expected = logit_kd(trace(student, other.inputs), LiveKnowledge(teacher, other.inputs), other)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)


def test_what_is_not_valid_moves_along(make_network, make_sample):
    valid = torch.ones(2, 32, 32, dtype=torch.bool)
    valid[..., :16] = False
    sample = make_sample(2, valid_mask=valid)
    student, teacher = make_network(0).eval(), make_network(1).eval()
    value = consistency(trace(student, sample.inputs), LiveKnowledge(teacher, sample.inputs), sample)
    mirrored = Sample(inputs={"image": sample.image.flip(-1)}, valid_mask=~valid)
    expected = logit_kd(trace(student, mirrored.inputs), LiveKnowledge(teacher, mirrored.inputs), mirrored)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
