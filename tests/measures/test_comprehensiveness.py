"""A sum over a hundred pixels: without the highest k % the score lacks what these carried."""

import pytest
import torch

from medkd.measures.comprehensiveness import comprehensiveness
from medkd.measures.sufficiency import sufficiency
from tests.measures.game import linear_game

WEIGHT = torch.rand(10, 10, generator=torch.Generator().manual_seed(0)) / 50


def carried(order):
    """Return the mean over the shares of what the first k pixels carry."""
    return sum(sum(order[:k]) for k in (1, 5, 10, 20, 50)) / 5


def test_of_a_sum_it_is_what_the_highest_pixels_carry():
    order = sorted(WEIGHT.flatten().tolist(), reverse=True)
    assert float(comprehensiveness(WEIGHT[None], linear_game(WEIGHT))[0]) == pytest.approx(carried(order), abs=1e-6)


def test_what_is_needed_is_not_missed_by_what_is_left():
    """Of a sum, what is deleted and what is kept are the whole: both measures add to the score."""
    total = comprehensiveness(WEIGHT[None], linear_game(WEIGHT)) + sufficiency(WEIGHT[None], linear_game(WEIGHT))
    assert float(total[0]) == pytest.approx(float(WEIGHT.sum()), abs=1e-5)
