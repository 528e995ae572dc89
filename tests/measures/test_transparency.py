"""Counted by hand; what was pruned is not read."""

import pytest
import torch
from torch import nn

from medkd.measures.transparency import depth_of, transparency


def test_weights_and_layers_are_counted():
    network = nn.Sequential(nn.Linear(10, 9, bias=False), nn.BatchNorm1d(9), nn.Linear(9, 1, bias=False))
    nn.init.ones_(network[1].bias)
    assert float(transparency(network)) == pytest.approx(torch.tensor(90 + 18 + 9.0).log10().item())
    assert depth_of(network) == 2
    with torch.no_grad():
        network[0].weight[:, :5] = 0
    assert float(transparency(network)) == pytest.approx(torch.tensor(45 + 18 + 9.0).log10().item())
