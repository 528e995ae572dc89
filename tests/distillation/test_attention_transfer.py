from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from medkd.distillation.attention_transfer import attention_transfer
from medkd.knowledge.interface import LAST, LiveKnowledge
from medkd.trace import layer_map_of, trace
from tests.knowledge.precomputed import PrecomputedKnowledge


def kept(network, sample):
    return trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))


def test_by_hand_on_the_layers_own_grid(make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    own, other = kept(student, sample), kept(teacher, sample)
    value = attention_transfer(own, LiveKnowledge(teacher, sample.inputs), sample, grid=64)
    maps = [t.feature(t.layer_map.cam_layer).double().square().mean(1).flatten(1) for t in (own, other)]
    cosine = functional.cosine_similarity(*maps, dim=1)
    assert float(value) == pytest.approx(float((2 - 2 * cosine).mean()), abs=1e-5)


def test_width_and_scale_of_the_features_do_not_matter(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(2)
    own = kept(student, sample)
    features = own.feature(own.layer_map.cam_layer)
    wider = PrecomputedKnowledge(features={LAST: torch.cat([features, features], 1).detach() * 3})
    assert float(attention_transfer(own, wider, sample)) == pytest.approx(0, abs=1e-5)
