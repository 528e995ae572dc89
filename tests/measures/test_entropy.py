"""scipy's entropy is the oracle; an even map has the logarithm of its voxels."""

import math

import pytest
import torch
from scipy.stats import entropy as oracle

from medkd.measures.entropy import entropy


def test_it_is_scipys():
    prediction = torch.randn(3, 6, 7, 2)
    expected = [oracle(row.abs().flatten().double().numpy()) for row in prediction]
    assert entropy(prediction).tolist() == pytest.approx(expected, rel=1e-5)


def test_its_ends():
    one = torch.zeros(1, 5, 5)
    one[0, 2, 2] = -7.0
    assert float(entropy(torch.full((1, 5, 5), 3.0))[0]) == pytest.approx(math.log(25))
    assert float(entropy(one)[0]) == pytest.approx(0.0, abs=1e-6)
    assert bool(entropy(torch.zeros(1, 4, 4)).isnan().all())
