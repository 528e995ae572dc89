from __future__ import annotations

import pytest
import torch

from medkd.experiment.gap_fine_tuning import MOST, bounded


def test_weights_have_mean_one_grow_with_the_gap_and_stay_in_bounds():
    values = torch.tensor([[0.0, 1.0, 1.0, 2.0, 100.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    weights = bounded(values, 1.0)
    assert weights.mean(1) == pytest.approx([1.0, 1.0])
    assert weights[1].tolist() == pytest.approx([1.0] * 5)
    assert weights[0].tolist() == sorted(weights[0].tolist())
    assert float(weights.max() / weights.min()) <= MOST**2 + 1e-3
    assert bounded(values, 0.0)[0].tolist() == pytest.approx([1.0] * 5)
