"""Of a sum, its weights correlate perfectly, their opposite too; a map that knows nothing does not."""

import pytest
import torch

from medkd.measures.faithfulness_correlation import faithfulness_correlation
from tests.measures.game import linear_game

WEIGHT = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))


def test_of_a_sum():
    maps = torch.stack([WEIGHT, 3 * WEIGHT + 0, -WEIGHT])
    found = faithfulness_correlation(maps, linear_game(WEIGHT, n=3))
    assert found.tolist() == pytest.approx([1.0, 1.0, -1.0], abs=1e-6)


def test_maps_that_know_nothing_are_near_zero():
    maps = torch.randn(60, 8, 8, generator=torch.Generator().manual_seed(1))
    found = faithfulness_correlation(maps, linear_game(WEIGHT, n=60), subsets=128)
    assert abs(float(found.mean())) < 0.1


def test_a_constant_map_is_undefined():
    assert bool(faithfulness_correlation(torch.zeros(1, 8, 8), linear_game(WEIGHT)).isnan().all())
