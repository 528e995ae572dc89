from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_contracts import KnowledgeError
from medkd.distillation.crd import crd
from medkd.knowledge.interface import LAST
from medkd.trace import Sample
from tests.knowledge.precomputed import PrecomputedKnowledge


def test_by_hand_over_all_places_of_the_batch(made_trace, draw):
    student_values, teacher_values = draw(3, 4, 2, 2, seed=1), draw(3, 4, 2, 2, seed=2)
    value = crd(
        made_trace(features=student_values), PrecomputedKnowledge(features={LAST: teacher_values}), Sample(inputs={}), temperature=0.5
    )
    s, t = (np.moveaxis(x.double().numpy().reshape(3, 4, 4), 1, 2).reshape(12, 4) for x in (student_values, teacher_values))
    s, t = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (s, t))
    scores = s @ t.T / 0.5
    expected = np.mean([-scores[i, i] + np.log(np.exp(scores[i]).sum()) for i in range(12)])
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_a_student_that_knows_every_place_pays_nothing_and_one_that_knows_none_log_n(made_trace):
    corners = torch.eye(4).reshape(4, 4, 1, 1)
    knowing, knowing_nothing = corners, torch.ones(4, 4, 1, 1)
    teacher = PrecomputedKnowledge(features={LAST: corners})
    assert float(crd(made_trace(features=knowing), teacher, Sample(inputs={}))) == pytest.approx(0, abs=1e-3)
    assert float(crd(made_trace(features=knowing_nothing), teacher, Sample(inputs={}))) == pytest.approx(math.log(4), rel=1e-4)


def test_a_case_of_weight_zero_is_no_wrong_answer_either(made_trace, draw):
    student_values, teacher_values = draw(3, 4, 1, 1, seed=1), draw(3, 4, 1, 1, seed=2)
    sample = Sample(inputs={}, weights=torch.tensor([1.0, 1.0, 0.0]))
    weighted = crd(made_trace(features=student_values), PrecomputedKnowledge(features={LAST: teacher_values}), sample)
    two = crd(
        made_trace(features=student_values[:2]), PrecomputedKnowledge(features={LAST: teacher_values[:2]}), replace(sample, weights=None)
    )
    assert float(weighted) == pytest.approx(float(two), rel=1e-5)


def test_other_channels_without_a_projector_are_refused(made_trace, draw):
    with pytest.raises(KnowledgeError) as caught:
        crd(made_trace(features=draw(2, 3, 2, 2)), PrecomputedKnowledge(features={LAST: draw(2, 4, 2, 2)}), Sample(inputs={}))
    assert caught.value.code == "HINT_CHANNELS"
