"""Parts that are and are not a whole."""

import torch

from medkd.measures.additivity import additivity


def test_the_largest_difference_counts():
    whole = torch.tensor([[[2.0, -4.0], [1.0, 0.0]]])
    parts = whole.clone()
    assert float(additivity(whole, parts)) == 0.0
    parts[0, 1, 1] = 1.0
    assert float(additivity(whole, parts)) == 0.25
    assert bool(additivity(whole * 0, parts).isnan().all())
