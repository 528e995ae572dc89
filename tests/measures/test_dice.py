from __future__ import annotations

import torch
from monai.metrics import compute_dice

from medkd.measures.dice import dice


def masks(seed):
    return (torch.rand(5, 1, 9, 9, generator=torch.Generator().manual_seed(seed)) > 0.6).to(torch.uint8)


def test_it_is_monais_dice():
    first, second = masks(0), masks(1)
    torch.testing.assert_close(dice(first[:, 0], second[:, 0]).float(), compute_dice(first, second)[:, 0])


def test_the_conventions_for_empty_masks():
    full, empty = torch.ones(1, 3, 3, dtype=torch.uint8), torch.zeros(1, 3, 3, dtype=torch.uint8)
    assert float(dice(full, empty)) == 0.0
    assert float(dice(full, full)) == 1.0
    assert bool(dice(empty, empty).isnan().all())
