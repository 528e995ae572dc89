from __future__ import annotations

import torch

from medkd.evaluation.shifted_bias import matching_offset


def test_the_class_is_said_as_often_as_the_teacher_says_it():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(50, 3, generator=generator)
    logits[:, 2] -= 6.0
    answers = torch.arange(50) % 5
    assert not (logits.argmax(1) == 2).any()
    offset = matching_offset(logits, answers, 2)
    shifted = logits + torch.tensor([0.0, 0.0, offset])
    said = shifted.argmax(1) == 2
    assert int(said.sum()) == 10
    # Those are said whose margin is largest: nothing but the bias changed.
    margins = logits[:, 2] - logits[:, :2].amax(1)
    assert margins[said].min() > margins[~said].max()


def test_a_teacher_that_never_says_it_moves_nothing_and_one_that_always_does_moves_all():
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    assert matching_offset(logits, torch.zeros(8, dtype=torch.int64), 2) == 0.0
    offset = matching_offset(logits, torch.full((8,), 2), 2)
    assert ((logits + torch.tensor([0.0, 0.0, offset])).argmax(1) == 2).all()
