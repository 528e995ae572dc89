from __future__ import annotations

import pytest
import torch

from data_contracts import KnowledgeError
from medkd.knowledge.interface import Knowledge, LiveKnowledge
from medkd.targets import class_logit
from medkd.trace import layer_map_of
from tests.knowledge.precomputed import PrecomputedKnowledge


def test_a_live_teacher_answers_once_and_without_gradients(make_network, make_sample):
    teacher, sample = make_network().eval(), make_sample(2)
    calls = []
    teacher.register_forward_hook(lambda *_: calls.append(1))
    knowledge = LiveKnowledge(teacher, sample.inputs)
    layer = layer_map_of(teacher).cam_layer
    answers = (knowledge.logits(), knowledge.features(layer), knowledge.attribution("cam", class_logit(1)))
    assert calls == [1]
    assert not any(answer.requires_grad for answer in answers)
    assert isinstance(knowledge, Knowledge)


def test_a_teacher_in_training_mode_is_refused(make_network, make_sample):
    with pytest.raises(KnowledgeError) as caught:
        LiveKnowledge(make_network().train(), make_sample(1).inputs).logits()
    assert caught.value.code == "TEACHER_TRAINING"


def test_remembered_knowledge_says_what_it_lacks():
    knowledge = PrecomputedKnowledge(torch.zeros(1, 2), features={"layer4": torch.zeros(1)}, attributions={"cam": torch.ones(1, 2, 2)})
    assert isinstance(knowledge, Knowledge)
    assert torch.equal(knowledge.attribution("cam", class_logit(0)), torch.ones(1, 2, 2))
    for ask in (
        lambda: knowledge.features("layer3"),
        lambda: knowledge.attribution("grad_cam", class_logit(0)),
        lambda: PrecomputedKnowledge().logits(),
    ):
        with pytest.raises(KnowledgeError) as caught:
            ask()
        assert caught.value.code == "KNOWLEDGE_MISSING"
