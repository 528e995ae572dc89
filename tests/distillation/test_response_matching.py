from __future__ import annotations

import pytest
import torch

from data_contracts import KnowledgeError
from medkd.distillation._occlude import occlusion_patterns as _patterns
from medkd.distillation.response_matching import response_matching
from medkd.knowledge.interface import LiveKnowledge
from medkd.trace import trace
from tests.knowledge.precomputed import PrecomputedKnowledge


def test_by_hand_one_pattern(make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    value = response_matching(trace(student, sample.inputs), LiveKnowledge(teacher, sample.inputs), sample, patterns=1, cells=4, seed=2)
    mask = _patterns(2, 1, 4, 0.25, 2)[0, 0, 0]
    assert int(mask.sum()) == 4
    hidden = sample.image.clone()
    for row, column in mask.nonzero().tolist():
        for case in range(3):
            hidden[case, 0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = sample.image[case].mean()
    with torch.no_grad():
        responses = [network(sample.image) - network(hidden) for network in (student, teacher)]
    assert float(value) == pytest.approx(float((responses[0] - responses[1]).square().mean()), rel=1e-4, abs=1e-7)


def test_a_constant_added_to_the_teachers_logits_is_no_response(make_network, make_sample, task):
    student, sample = make_network(0).eval(), make_sample(2)
    teacher = make_network(0).eval()
    head = teacher.get_submodule(teacher.layer_map.head)
    head.bias = torch.nn.Parameter(torch.tensor([3.0, -1.0]) + (0 if head.bias is None else head.bias.detach()))
    assert float(response_matching(trace(student, sample.inputs), LiveKnowledge(teacher, sample.inputs), sample)) == pytest.approx(
        0, abs=1e-5
    )


def test_patterns_are_the_same_in_every_batch_and_hide_what_was_asked():
    assert torch.equal(_patterns(3, 4, 4, 0.5, 0), _patterns(3, 4, 4, 0.5, 0))
    assert _patterns(3, 4, 4, 0.5, 0).flatten(1).sum(1).tolist() == [32.0] * 4
    assert not torch.equal(_patterns(2, 2, 4, 0.25, 0), _patterns(2, 2, 4, 0.25, 1))


def test_stored_knowledge_cannot_be_asked_about_other_images(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(2)
    kept = trace(student, sample.inputs)
    with pytest.raises(KnowledgeError) as caught:
        response_matching(kept, PrecomputedKnowledge(kept.logits.detach()), sample)
    assert caught.value.code == "KNOWLEDGE_MISSING"


def test_statistics_of_the_student_are_not_shifted_by_hidden_images(make_network, make_sample):
    student, teacher, sample = make_network(0).train(), make_network(1).eval(), make_sample(4)
    kept = trace(student, sample.inputs)
    before = {name: value.clone() for name, value in student.named_buffers()}
    response_matching(kept, LiveKnowledge(teacher, sample.inputs), sample).backward()
    assert all(torch.equal(before[name], value) for name, value in student.named_buffers())
