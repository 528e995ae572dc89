from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from medkd.distillation.pseudo_label import pseudo_label
from medkd.trace import Sample
from tests.knowledge.precomputed import PrecomputedKnowledge


def test_it_is_the_cross_entropy_of_the_teachers_decision_whatever_the_label_says(made_trace, draw):
    student_values, teacher_values = draw(4, 3, seed=1), draw(4, 3, seed=2)
    labels = (teacher_values.argmax(1) + 1) % 3
    value = pseudo_label(made_trace(student_values), PrecomputedKnowledge(teacher_values), Sample(inputs={}, labels=labels))
    assert float(value) == pytest.approx(float(functional.cross_entropy(student_values, teacher_values.argmax(1))), rel=1e-5)


def test_voxels_that_are_not_valid_do_not_count(made_trace, draw):
    student_values, teacher_values = draw(2, 2, 8, 8, seed=1), draw(2, 2, 8, 8, seed=2)
    valid = draw(2, 8, 8, seed=3) > 0
    other = torch.where(valid[:, None], teacher_values, -teacher_values)
    first, second = (
        pseudo_label(made_trace(student_values), PrecomputedKnowledge(x), Sample(inputs={}, valid_mask=valid))
        for x in (teacher_values, other)
    )
    assert float(first) == pytest.approx(float(second), rel=1e-6)
