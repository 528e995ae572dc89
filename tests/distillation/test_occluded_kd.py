from __future__ import annotations

import pytest
import torch

from medkd.distillation._occlude import hide, occlusion_patterns
from medkd.distillation.logit_kd import logit_kd
from medkd.distillation.occluded_kd import occluded_kd
from medkd.knowledge.interface import LiveKnowledge
from medkd.trace import trace


def test_it_is_plain_distillation_on_the_images_with_parts_hidden(make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    value = occluded_kd(trace(student, sample.inputs), LiveKnowledge(teacher, sample.inputs), sample, patterns=2, seed=3, temperature=2.0)
    parts = []
    for mask in occlusion_patterns(2, 2, 4, 0.25, 3):
        view = hide(sample.image, mask)
        assert not torch.equal(view, sample.image)
        parts.append(logit_kd(trace(student, view), LiveKnowledge(teacher, {"image": view}), sample, temperature=2.0))
    assert float(value) == pytest.approx(float(sum(parts)) / 2, rel=1e-5)


def test_what_is_hidden_gets_the_mean_of_its_own_image(make_sample):
    image = make_sample(2).image
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0, 1] = 1
    hidden = hide(image, mask)
    assert torch.allclose(hidden[1, 0, :8, 8:16], image[1].mean().expand(8, 8))
    hidden[..., :8, 8:16] = image[..., :8, 8:16]
    assert torch.equal(hidden, image)
