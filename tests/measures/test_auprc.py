from __future__ import annotations

import pytest
import torch
from sklearn.metrics import auc as trapezoid
from sklearn.metrics import precision_recall_curve

from medkd.measures.auprc import auprc


def test_counted_by_hand():
    # sorted by score: 1, 0, 1, 0 -> precision 1 at recall 1/2, 2/3 at recall 1
    value = auprc(torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, 0, 1, 0]))
    assert float(value) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_a_constant_score_gives_the_share_of_positives():
    assert float(auprc(torch.full((10,), 0.5), torch.tensor([1] * 3 + [0] * 7))) == pytest.approx(0.3)


def test_near_the_trapezoid_for_many_cases():
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand(3000, generator=generator) < 0.3).long()
    score = label + torch.randn(3000, generator=generator)
    precision, recall, _ = precision_recall_curve(label.numpy(), score.numpy())
    assert float(auprc(score, label)) == pytest.approx(trapezoid(recall, precision), abs=0.003)


def test_one_class_is_undefined():
    assert bool(auprc(torch.rand(4), torch.ones(4)).isnan())
