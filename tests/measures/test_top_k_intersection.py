"""By hand: as many voxels of each, how many are both."""

import pytest
import torch

from medkd.measures.top_k_intersection import top_k_intersection


def test_by_hand():
    first, second = torch.zeros(1, 10, 10), torch.zeros(1, 10, 10)
    first[0, 0, :4], second[0, 0, 2:6] = 1.0, 5.0
    assert float(top_k_intersection(first, second, share=0.04)[0]) == pytest.approx(2 / 6)
    assert float(top_k_intersection(first, first * 7, share=0.04)[0]) == 1.0


def test_by_chance():
    found = top_k_intersection(torch.rand(50, 30, 30), torch.rand(50, 30, 30), share=0.2)
    assert float(found.mean()) == pytest.approx(0.2 / 1.8, abs=0.01)
