from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from medkd.distillation.logit_kd import logit_kd
from medkd.distillation.soft_label_refinement import soft_label_refinement
from medkd.knowledge.interface import RememberedKnowledge
from medkd.trace import trace


@pytest.fixture
def case(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(4)
    kept = trace(student, sample.inputs)
    generator = torch.Generator().manual_seed(3)
    return kept, RememberedKnowledge(torch.randn(kept.logits.shape, generator=generator)), sample


def test_without_labels_it_is_plain_distillation(case):
    kept, knowledge, sample = case
    missing = replace(sample, labels=torch.full_like(sample.labels, -1))
    for temperature in (1.0, 4.0):
        value = soft_label_refinement(kept, knowledge, missing, temperature=temperature)
        assert float(value) == pytest.approx(float(logit_kd(kept, knowledge, missing, temperature=temperature)), abs=1e-5)
    assert float(soft_label_refinement(kept, knowledge, replace(sample, labels=None), temperature=4.0)) == pytest.approx(
        float(value), abs=1e-5
    )


def test_where_the_teacher_is_wrong_the_label_speaks_alone(case):
    kept, knowledge, sample = case
    wrong = replace(sample, labels=1 - knowledge.logits().argmax(1))
    value = soft_label_refinement(kept, knowledge, wrong)
    assert float(value) == pytest.approx(float(functional.cross_entropy(kept.logits, wrong.labels)), abs=1e-5)


def test_where_it_is_right_both_speak(case):
    kept, knowledge, sample = case
    right = replace(sample, labels=knowledge.logits().argmax(1))
    soft = knowledge.logits().double().softmax(1)
    hard = functional.one_hot(right.labels, 2).movedim(-1, 1).double()
    q, p = 0.7 * soft + 0.3 * hard, kept.logits.double().softmax(1)
    assert float(soft_label_refinement(kept, knowledge, right, blend=0.3)) == pytest.approx(
        float((q * (q / p).log()).sum(1).mean()), abs=1e-5
    )
