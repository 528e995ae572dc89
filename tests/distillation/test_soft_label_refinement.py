from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from medkd.distillation.logit_kd import logit_kd
from medkd.distillation.soft_label_refinement import soft_label_refinement
from medkd.trace import Sample, trace
from tests.knowledge.precomputed import PrecomputedKnowledge


@pytest.fixture
def case(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(4)
    kept = trace(student, sample.inputs)
    generator = torch.Generator().manual_seed(3)
    return kept, PrecomputedKnowledge(torch.randn(kept.logits.shape, generator=generator)), sample


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


def test_weighted_by_what_the_student_has_still_to_learn(made_trace, draw):
    """1 - exp(-CE_s / CE_t), case by case, by hand."""
    student_values, teacher_values, labels = draw(3, 4, seed=1), draw(3, 4, seed=2), torch.tensor([1, 3, -1])
    value = soft_label_refinement(
        made_trace(student_values),
        PrecomputedKnowledge(teacher_values),
        Sample(inputs={}, labels=labels),
        blend=0.0,
        where_wrong=0.0,
        weighted=True,
    )
    total = 0.0
    for row, label in enumerate(labels.tolist()):
        s, t = (x[row].double().log_softmax(0) for x in (student_values, teacher_values))
        divergence = float((t.exp() * (t - s)).sum())
        total += divergence * (1 - math.exp(-float(s[label] / t[label])) if label >= 0 else 1)
    assert float(value) == pytest.approx(total / 3, rel=1e-4)
