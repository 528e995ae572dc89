"""A sum over a hundred pixels: with nothing but the highest k % the score lacks what the others carried."""

import pytest
import torch

from medkd.measures.sufficiency import sufficiency
from tests.measures.game import linear_game


def test_of_a_sum_it_is_what_the_other_pixels_carry():
    weight = torch.rand(10, 10, generator=torch.Generator().manual_seed(1)) / 50
    order = sorted(weight.flatten().tolist(), reverse=True)
    expected = sum(sum(order[k:]) for k in (1, 5, 10, 20, 50)) / 5
    assert float(sufficiency(weight[None], linear_game(weight))[0]) == pytest.approx(expected, abs=1e-6)
