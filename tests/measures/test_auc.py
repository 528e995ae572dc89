from __future__ import annotations

import pytest
import torch

from medkd.measures.auc import auc


def test_it_counts_pairs_with_ties_as_half():
    scores, labels = torch.tensor([0.1, 0.4, 0.4, 0.9, 0.4]), torch.tensor([0, 0, 1, 1, 0])
    pairs = [(p, n) for p in scores[labels == 1] for n in scores[labels == 0]]
    by_hand = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)
    assert float(auc(scores, labels)) == pytest.approx(by_hand)


def test_one_class_alone_is_undefined():
    assert bool(auc(torch.rand(4), torch.ones(4, dtype=torch.int64)).isnan())


def test_reversed_scores_give_the_complement():
    scores, labels = torch.rand(30, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 2
    assert float(auc(-scores, labels)) == pytest.approx(1 - float(auc(scores, labels)))
