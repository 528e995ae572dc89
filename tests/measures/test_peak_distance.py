"""In mm, along every axis."""

import pytest
import torch

from medkd.measures.peak_distance import peak_distance


def test_in_millimetres():
    first, second = torch.zeros(1, 4, 6, 8), torch.zeros(1, 4, 6, 8)
    first[0, 1, 2, 3], second[0, 3, 5, 7] = 1.0, 2.0
    assert float(peak_distance(first, second)[0]) == pytest.approx((4 + 9 + 16) ** 0.5)
    assert float(peak_distance(first, second, spacing_mm=(5.0, 0.5, 0.5))[0]) == pytest.approx((100 + 2.25 + 4) ** 0.5)
    assert bool(peak_distance(first, second * 0).isnan().all())
