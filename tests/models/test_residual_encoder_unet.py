from __future__ import annotations

import torch
from torch.nn import functional

from data_contracts import NetworkSpec
from medkd.models._build import build_network


def test_a_block_adds_what_was_averaged_and_projected_as_nnunets_weights_say():
    spec = NetworkSpec(builder="residual_encoder_unet", options={"features": (4, 6), "norm": "batch"})
    network = build_network(spec, seed=1).eval()
    block = network.members[0].encoder.stages[1].blocks[0]
    names = {name.removeprefix("members.0.encoder.stages.1.blocks.0.") for name in network.state_dict() if ".stages.1.blocks.0." in name}
    # The pool of the skip is its place 0 and has no weights; the projection has no bias.
    assert {"skip.1.conv.weight", "skip.1.norm.weight"} <= names
    assert "skip.1.conv.bias" not in names
    image = torch.randn(2, 4, 8, 8)
    skip = block.skip[1].norm(functional.conv2d(functional.avg_pool2d(image, 2), block.skip[1].conv.weight))
    main = block.conv2.norm(block.conv2.conv(functional.leaky_relu(block.conv1.norm(block.conv1.conv(image)), 0.01)))
    torch.testing.assert_close(block(image), functional.leaky_relu(main + skip, 0.01))


def test_the_first_stage_neither_strides_nor_projects():
    network = build_network(NetworkSpec(builder="residual_encoder_unet"))
    assert len(network.members[0].encoder.stages[0].blocks[0].skip) == 0
