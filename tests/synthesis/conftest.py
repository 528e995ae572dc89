from __future__ import annotations

import pytest
import torch

from data_contracts import NetworkSpec
from medkd.models._build import build_network


@pytest.fixture(scope="session")
def trained_network():
    """Return a small network that tells a bright square from stripes, its running statistics met."""
    network = build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}), seed=0)
    draw = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(30):
        labels = torch.arange(16) % 2
        images = 0.1 * torch.randn(16, 1, 16, 16, generator=draw) - 0.5
        images[0::2, :, 5:11, 5:11] = 0.8
        images[1::2, :, 4:12:2] = 0.8
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    return network.eval()
