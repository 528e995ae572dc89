"""By hand."""

import pytest
import torch

from medkd.measures.effective_complexity import effective_complexity


def test_by_hand():
    prediction = torch.tensor([[[10.0, 2.0], [-1.5, 0.5]]])
    assert effective_complexity(prediction).tolist() == [0.75]
    assert effective_complexity(prediction, threshold=0.15).tolist() == [0.5]
    assert bool(effective_complexity(torch.zeros(1, 4, 4)).isnan().all())
    assert float(effective_complexity(torch.ones(1, 3, 3))[0]) == pytest.approx(1.0)
