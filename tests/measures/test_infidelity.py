"""Of a sum, its weights account for every fall, in any unit; a map that says the opposite is of no use."""

import pytest
import torch

from medkd.measures.infidelity import infidelity
from tests.measures.game import linear_game

WEIGHT = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))


def test_of_a_sum():
    maps = torch.stack([WEIGHT, 0.01 * WEIGHT, -WEIGHT])
    assert infidelity(maps, linear_game(WEIGHT, n=3)).tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)


def test_half_of_the_weights_leave_the_share_of_the_other_half():
    """Against least squares by numpy on the same subsets."""
    from medkd.measures._perturb import random_subsets

    half = WEIGHT.clone()
    half[:, 4:] = 0
    hidden = random_subsets((8, 8), 64, 0.2).flatten(1).double()
    sums, falls = hidden @ half.flatten().double(), hidden @ WEIGHT.flatten().double()
    left = falls - sums * (sums @ falls) / (sums @ sums)
    expected = float((left @ left) / (falls @ falls))
    assert float(infidelity(half[None], linear_game(WEIGHT))[0]) == pytest.approx(expected, abs=1e-6)
