"""A sum over pixels: what falls is what was deleted."""

import pytest
import torch

from medkd.measures.aopc import aopc
from tests.measures.game import linear_game


def test_of_a_sum_it_is_the_mean_of_what_was_deleted():
    weight = torch.arange(10.0).reshape(2, 5) / 45
    falls = [sum(sorted(weight.flatten().tolist(), reverse=True)[:k]) for k in range(11)]
    assert float(aopc(weight[None], linear_game(weight))[0]) == pytest.approx(sum(falls) / 11, abs=1e-6)
    worst = [sum(sorted(weight.flatten().tolist())[:k]) for k in range(11)]
    assert float(aopc(-weight[None], linear_game(weight))[0]) == pytest.approx(sum(worst) / 11, abs=1e-6)
