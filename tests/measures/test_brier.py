from __future__ import annotations

import pytest
import torch
from sklearn.metrics import brier_score_loss

from medkd.measures.brier import brier


def test_counted_by_hand():
    assert float(brier(torch.tensor([1.0, 0.5, 0.0]), torch.tensor([1, 1, 1]))) == pytest.approx((0 + 0.25 + 1) / 3)


def test_as_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    probability, label = torch.rand(200, generator=generator), (torch.rand(200, generator=generator) < 0.4).long()
    assert float(brier(probability, label)) == pytest.approx(brier_score_loss(label.numpy(), probability.double().numpy()))


def test_no_case_is_undefined():
    assert bool(brier(torch.zeros(0), torch.zeros(0)).isnan())
