from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import zscore

from medkd.distillation.logit_standardisation import incompatible_reason, logit_standardisation
from medkd.task_context import TaskContext
from medkd.trace import Sample
from tests.knowledge.precomputed import PrecomputedKnowledge


def test_by_scipy_on_z_scores_of_each_voxel(made_trace, draw):
    student_values, teacher_values = draw(2, 4, 5, 5, seed=1), 3 * draw(2, 4, 5, 5, seed=2)
    value = logit_standardisation(made_trace(student_values), PrecomputedKnowledge(teacher_values), Sample(inputs={}), temperature=2.0)
    rows = [np.moveaxis(x.double().numpy(), 1, -1).reshape(-1, 4) for x in (teacher_values, student_values)]
    t, s = (log_softmax(zscore(x, axis=1, ddof=1) / 2.0, axis=1) for x in rows)
    assert float(value) == pytest.approx(4.0 * (np.exp(t) * (t - s)).sum(1).mean(), rel=1e-4)


def test_the_scale_of_either_does_not_matter(made_trace, draw):
    student_values, teacher_values = draw(3, 4, seed=1), draw(3, 4, seed=2)
    first, second = (
        logit_standardisation(made_trace(a * student_values), PrecomputedKnowledge(b * teacher_values + 7), Sample(inputs={}))
        for a, b in ((1, 1), (9, 0.3))
    )
    assert float(first) == pytest.approx(float(second), rel=1e-4)


def test_two_classes_have_one_z_score_and_are_refused(made_trace, draw):
    for seed in (1, 2):
        kept = made_trace(draw(3, 2, seed=seed))
        same_side = PrecomputedKnowledge(kept.logits * 5)
        assert float(logit_standardisation(kept, same_side, Sample(inputs={}))) == pytest.approx(0, abs=1e-6)
    assert "0.71" in incompatible_reason(TaskContext("classification", 2))
