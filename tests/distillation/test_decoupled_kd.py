from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from medkd.distillation.decoupled_kd import decoupled_kd
from medkd.distillation.logit_kd import logit_kd
from medkd.trace import Sample
from tests.knowledge.precomputed import PrecomputedKnowledge


def kl(p, q):
    return float((p * np.log(p / q)).sum())


def test_by_hand_from_the_two_distributions(made_trace, draw):
    student_values, teacher_values, labels = draw(3, 4, seed=1), draw(3, 4, seed=2), torch.tensor([0, 3, 1])
    value = decoupled_kd(
        made_trace(student_values),
        PrecomputedKnowledge(teacher_values),
        Sample(inputs={}, labels=labels),
        alpha=0.7,
        beta=3.0,
        temperature=2.0,
    )
    total = 0.0
    for row, label in enumerate(labels.tolist()):
        t, s = (softmax(x[row].double().numpy() / 2.0) for x in (teacher_values, student_values))
        others = [c for c in range(4) if c != label]
        pair = [np.array([p[label], 1 - p[label]]) for p in (t, s)]
        rest = [p[others] / p[others].sum() for p in (t, s)]
        total += 0.7 * kl(*pair) + 3.0 * kl(*rest)
    assert float(value) == pytest.approx(4.0 * total / 3, rel=1e-4)


def test_weighed_by_the_teachers_doubt_the_parts_are_the_plain_soft_target(made_trace, draw):
    """KD = TCKD + (1 - p_t) NCKD: the paper's identity."""
    student_values, teacher_values, label = draw(1, 5, seed=1), draw(1, 5, seed=2), torch.tensor([2])
    sample, kept, teacher = Sample(inputs={}, labels=label), made_trace(student_values), PrecomputedKnowledge(teacher_values)
    doubt = 1 - float(teacher_values.softmax(1)[0, 2])
    parts = decoupled_kd(kept, teacher, sample, alpha=1.0, beta=doubt, temperature=1.0)
    assert float(parts) == pytest.approx(float(logit_kd(kept, teacher, sample, temperature=1.0)), rel=1e-4)


def test_where_labels_are_missing_the_teachers_answer_stands_for_them(made_trace, draw):
    student_values, teacher_values = draw(2, 3, 4, 4, seed=1), draw(2, 3, 4, 4, seed=2)
    missing = torch.full((2, 4, 4), -1)
    kept, teacher = made_trace(student_values), PrecomputedKnowledge(teacher_values)
    values = [decoupled_kd(kept, teacher, Sample(inputs={}, labels=labels)) for labels in (missing, None, teacher_values.argmax(1))]
    assert float(values[0]) == pytest.approx(float(values[1])) == pytest.approx(float(values[2]))
