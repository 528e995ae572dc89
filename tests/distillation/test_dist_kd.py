from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from medkd.distillation.dist_kd import dist_kd, incompatible_reason
from medkd.task_context import TaskContext
from medkd.trace import Sample
from tests.knowledge.precomputed import PrecomputedKnowledge


def rho(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_by_numpy_over_classes_and_over_the_cases_of_a_batch(made_trace, draw):
    student_values, teacher_values = draw(6, 4, seed=1), draw(6, 4, seed=2)
    value = dist_kd(
        made_trace(student_values), PrecomputedKnowledge(teacher_values), Sample(inputs={}), inter=2.0, intra=0.5, temperature=3.0
    )
    s, t = (softmax(x.double().numpy() / 3.0, axis=1) for x in (student_values, teacher_values))
    over = np.mean([1 - rho(s[row], t[row]) for row in range(6)])
    within = np.mean([1 - rho(s[:, c], t[:, c]) for c in range(4)])
    assert float(value) == pytest.approx(9.0 * (2.0 * over + 0.5 * within), rel=1e-3)


def test_by_numpy_over_the_valid_voxels_of_each_case(made_trace, draw):
    student_values, teacher_values = draw(2, 3, 6, 6, seed=1), draw(2, 3, 6, 6, seed=2)
    valid = draw(2, 6, 6, seed=3) > 0
    value = dist_kd(made_trace(student_values), PrecomputedKnowledge(teacher_values), Sample(inputs={}, valid_mask=valid), inter=0.0)
    s, t = (softmax(x.double().numpy(), axis=1) for x in (student_values, teacher_values))
    parts = [1 - rho(s[b, c][valid[b].numpy()], t[b, c][valid[b].numpy()]) for b in range(2) for c in range(3)]
    assert float(value) == pytest.approx(np.mean(parts), rel=1e-3)


def test_two_classes_correlate_perfectly_whatever_they_say_and_are_refused(made_trace, draw):
    student_values, teacher_values = draw(4, 2, seed=1), draw(4, 2, seed=2)
    assert all(abs(abs(rho(*(softmax(x[row].numpy()) for x in (student_values, teacher_values)))) - 1) < 1e-4 for row in range(4))
    assert "set inter to 0" in incompatible_reason(TaskContext("classification", 2))
    assert incompatible_reason(TaskContext("classification", 2), inter=0.0) is None
    assert bool(torch.isfinite(dist_kd(made_trace(student_values), PrecomputedKnowledge(teacher_values), Sample(inputs={}), inter=0.0)))
