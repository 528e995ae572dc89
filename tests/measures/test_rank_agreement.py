from __future__ import annotations

import torch
from scipy.stats import spearmanr

from medkd.measures.rank_agreement import rank_agreement


def test_it_is_scipys_spearman_with_ties():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randint(0, 5, (3, 6, 6), generator=generator).float(), torch.randint(0, 5, (3, 6, 6), generator=generator).float()
    reference = torch.tensor([spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(first, second, strict=True)])
    torch.testing.assert_close(rank_agreement(first, second), reference)


def test_a_monotone_change_of_a_map_changes_nothing():
    first = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rank_agreement(first, first.exp()), torch.ones(2, dtype=torch.double))


def test_a_constant_map_is_undefined():
    assert bool(rank_agreement(torch.ones(1, 3, 3), torch.randn(1, 3, 3)).isnan().all())
