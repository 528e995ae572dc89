"""Ranks, shared by the rank measures."""

from __future__ import annotations

import torch
from torch import Tensor


def average_ranks(values: Tensor) -> Tensor:
    """Return ranks of each row from 1, ties sharing their average: [n, k] -> float64 [n, k]."""
    from scipy.stats import rankdata  # a second of imports: only who asks pays

    return torch.from_numpy(rankdata(values.double().cpu().numpy(), axis=1))


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Return Pearson's correlation of each pair of rows, NaN where one of them is constant."""
    first, second = first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True)
    scale = first.norm(dim=1) * second.norm(dim=1)
    nan = torch.full_like(scale, float("nan"))
    return torch.where(scale > 1e-12, (first * second).sum(1) / scale.clamp_min(1e-300), nan).clamp(-1, 1)
