from __future__ import annotations

import pytest
import torch

from medkd.attribution._attribute import attribute
from medkd.distillation.cam_transfer import cam_transfer
from medkd.knowledge.interface import LiveKnowledge
from medkd.targets import class_logit
from medkd.trace import anatomy_of, trace


def test_it_is_two_minus_two_cosines_averaged_over_classes(make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    kept = trace(student, sample.inputs, layers=(anatomy_of(student).cam_layer,))
    value = cam_transfer(kept, LiveKnowledge(teacher, sample.inputs), sample, grid=32)
    terms = []
    for index in range(2):
        mine, theirs = (attribute(n, sample.image, class_logit(index), explainer="cam").flatten(1).double() for n in (student, teacher))
        terms.append(2 - 2 * torch.nn.functional.cosine_similarity(mine, theirs, dim=1))
    assert float(value) == pytest.approx(float(torch.stack(terms).mean()), abs=1e-5)


def test_maps_of_any_scale_are_alike(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(2)
    teacher = make_network(0).eval()
    head = teacher.get_submodule(anatomy_of(teacher).head)
    head.weight.data *= 7
    kept = trace(student, sample.inputs, layers=(anatomy_of(student).cam_layer,))
    assert float(cam_transfer(kept, LiveKnowledge(teacher, sample.inputs), sample)) == pytest.approx(0, abs=1e-5)
