"""What is particular to the network with two heads: both answers of one pass, and the class map of each head."""

from __future__ import annotations

import pytest
import torch

from data_contracts import NetworkSpec
from medkd.models._build import build_network
from medkd.models.multi_task_unet import CASE_CLASSES
from medkd.trace import trace


@pytest.mark.parametrize("space", [(32, 48), (8, 16, 16)])
def test_one_pass_answers_for_every_voxel_and_for_the_image(space):
    spec = NetworkSpec(builder="multi_task_unet", out_channels=3, spatial_dims=len(space), options={"channels": (4, 6, 8)})
    kept = trace(build_network(spec).eval(), torch.zeros(2, 1, *space))
    assert kept.logits.shape == (2, 3, *space)
    assert kept.outputs["classification"].shape == (2, CASE_CLASSES)


def test_the_heads_share_an_encoder_and_nothing_else():
    network = build_network(NetworkSpec(builder="multi_task_unet", options={"channels": (4, 6, 8)})).train()
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    trace(network, image).outputs["classification"].square().sum().backward()
    touched = {name.partition(".")[0] for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert touched == {"encoder", "case_head"}
