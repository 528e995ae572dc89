from __future__ import annotations

import pytest
import torch

from data_contracts import AttributionSource
from medkd.knowledge.control import ControlledKnowledge
from medkd.knowledge.interface import LAST, LiveKnowledge
from medkd.knowledge.source import KnowledgeSource, LiveSource, layer_shape
from medkd.trace import TEACHER_IMAGE, layer_map_of

CPU = torch.device("cpu")


@pytest.fixture
def teacher(make_network):
    return make_network()


def test_a_live_teacher_answers_frozen_and_outside_of_the_students_tree(teacher, make_sample):
    source = LiveSource(teacher.train()).prepared(CPU, channels_last=False)
    assert isinstance(source, KnowledgeSource)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    sample = make_sample(2)
    with torch.no_grad():
        assert torch.allclose(source.for_batch(sample).logits(), teacher(sample.image), atol=1e-5)


def test_a_teacher_is_asked_about_the_easier_image_where_the_batch_carries_one(teacher, make_sample):
    source, sample = LiveSource(teacher.eval()), make_sample(2)
    easier = make_sample(2, seed=1).image
    harder = make_sample(2, inputs={**sample.inputs, TEACHER_IMAGE: easier})
    with torch.no_grad():
        assert torch.allclose(source.for_batch(harder).logits(), teacher(easier), atol=1e-5)
    assert TEACHER_IMAGE in harder.inputs


def test_a_control_changes_explanations_and_a_teacher_changes_nothing(teacher, make_sample):
    sample = make_sample(2)
    assert type(LiveSource(teacher.eval()).for_batch(sample)) is LiveKnowledge
    control = LiveSource(teacher.eval(), attribution_source=AttributionSource.SHUFFLED).for_batch(sample)
    assert isinstance(control, ControlledKnowledge)
    assert torch.equal(control.logits(), LiveSource(teacher).for_batch(sample).logits())


def test_layers_are_named_and_measured_without_changing_the_network(teacher, make_sample):
    source, image = LiveSource(teacher.eval()), make_sample(1).image
    assert source.layers() == layer_map_of(teacher).feature_layers
    assert source.shape(LAST, image) == layer_shape(teacher, layer_map_of(teacher).cam_layer, image)
    assert source.shape(LAST, image)[0] == 1
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    layer_shape(teacher.train(), LAST, image)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_views_that_training_repeats_are_asked_about_once(teacher, make_sample):
    calls = []
    teacher.eval().register_forward_hook(lambda *_: calls.append(1))
    source, sample = LiveSource(teacher), make_sample(2)
    source.ask_before(sample.image, mirrored=False, maps=True, batch=2)
    asked = len(calls)
    first = source.for_batch(sample).logits()
    assert len(calls) == asked
    assert torch.allclose(first, LiveSource(teacher).for_batch(sample).logits(), atol=1e-5)
