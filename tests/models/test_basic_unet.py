from __future__ import annotations

import torch

from data_contracts import NetworkSpec
from medkd.models._build import build_network, parameter_count
from medkd.trace import trace


def test_the_last_features_are_on_the_images_grid_and_as_wide_as_asked():
    network = build_network(NetworkSpec(builder="basic_unet", options={"features": (4, 4, 8, 8, 8, 6)})).eval()
    kept = trace(network, torch.rand(1, 1, 32, 48), layers=("upcat_1", "down_4"))
    assert kept.features["upcat_1"].shape == (1, 6, 32, 48)
    assert kept.features["down_4"].shape == (1, 8, 2, 3)
    assert parameter_count(network) < 20_000
