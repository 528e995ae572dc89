from __future__ import annotations

import pytest
import torch

from medkd.knowledge.targets import answer_of, teacher_target
from medkd.targets import class_margin
from tests.knowledge.precomputed import PrecomputedKnowledge


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 6, 6), (2, 2, 3, 4, 5)])
def test_an_answer_is_the_class_of_the_largest_logit(shape):
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(answer_of(logits), logits.argmax(1))


def test_of_equal_logits_the_first_class_counts():
    assert answer_of(torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]])).tolist() == [0, 1]


def test_a_classifiers_target_is_its_class_against_the_others():
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 5.0]])
    target, has_one = teacher_target(PrecomputedKnowledge(logits))
    assert torch.allclose(target(logits), class_margin(torch.tensor([0, 2]))(logits))
    assert has_one.tolist() == [True, True]


def test_a_segmenters_target_is_all_that_it_calls_foreground_where_there_is_any():
    logits = torch.zeros(2, 3, 2, 2)
    logits[0, 1, 0, 0] = logits[0, 2, 1, 1] = 4.0
    target, has_one = teacher_target(PrecomputedKnowledge(logits))
    assert has_one.tolist() == [True, False]
    scores = target(logits)
    assert scores[0] > 0
    assert scores[1] == 0
