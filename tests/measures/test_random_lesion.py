"""Against SciPy; a saliency that sees a neighbourhood passes."""

import pytest
import torch
from scipy.stats import spearmanr

from medkd.measures.random_lesion import random_lesion


def test_it_is_the_rank_correlation_without_its_sign():
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(3, 5, 6, generator=generator), torch.randn(3, 5, 6, generator=generator)
    expected = [abs(spearmanr(a.flatten(), b.flatten()).statistic) for a, b in zip(one, other, strict=True)]
    assert random_lesion(one, other).tolist() == pytest.approx(expected)
    assert float(random_lesion(one, -one)[0]) == pytest.approx(1.0)
