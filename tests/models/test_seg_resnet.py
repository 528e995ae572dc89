from __future__ import annotations

import torch

from data_contracts import NetworkSpec
from medkd.models._build import build_network
from medkd.trace import trace


def test_logits_are_the_head_on_the_tapped_features():
    network = build_network(NetworkSpec(builder="seg_resnet", out_channels=3, options={"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)})).eval()  # fmt: skip
    kept = trace(network, torch.rand(2, 1, 16, 16), layers=("conv_final.1",))
    head = network.conv_final[2].conv
    by_hand = torch.einsum("cf,nfhw->nchw", head.weight[:, :, 0, 0], kept.features["conv_final.1"]) + head.bias[:, None, None]
    torch.testing.assert_close(kept.logits, by_hand, atol=1e-5, rtol=1e-4)


def test_dropout_works_in_training_only():
    network = build_network(NetworkSpec(builder="seg_resnet", options={"blocks_down": (1, 1), "blocks_up": (1,), "dropout": 0.5}))
    image = torch.rand(2, 1, 16, 16)
    assert not torch.equal(network.train()(image), network(image))
    assert torch.equal(network.eval()(image), network(image))
