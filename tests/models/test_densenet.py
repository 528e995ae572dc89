from __future__ import annotations

import torch

from data_contracts import NetworkSpec
from medkd.models._build import build_network
from medkd.trace import trace


def test_the_class_map_accounts_for_the_whole_logit():
    network = build_network(NetworkSpec(builder="densenet", spatial_dims=3, out_channels=3)).eval()
    kept = trace(network, torch.rand(2, 1, 32, 32, 32), layers=("class_layers.relu",))
    features = kept.features["class_layers.relu"]
    by_hand = features.flatten(2).mean(2) @ network.class_layers.out.weight.T
    torch.testing.assert_close(kept.logits, by_hand, atol=1e-5, rtol=1e-4)


def test_stem_and_transitions_shrink_the_grid_as_said():
    network = build_network(NetworkSpec(builder="densenet", options={"block_config": (2, 2, 2)})).eval()
    kept = trace(network, torch.rand(1, 1, 64, 64), layers=("class_layers.relu",))
    assert kept.features["class_layers.relu"].shape[2:] == (4, 4)
