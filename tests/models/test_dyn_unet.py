from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DynUNet

from data_contracts import NetworkSpec
from medkd.models._build import build_network, parameter_count
from medkd.trace import forked_rng, layer_map_of, trace


@pytest.mark.parametrize("space", [2, 3])
def test_the_answer_is_monais_own(space):
    """Our forward over MONAI's blocks gives what MONAI's recursion gives, with the same weights."""
    network = build_network(NetworkSpec(builder="dyn_unet", spatial_dims=space, options={"filters": (4, 6, 8)}), seed=3).eval()
    with forked_rng(3):
        twin = DynUNet(space, 1, 2, (3,) * 3, (1, 2, 2), (2, 2), filters=(4, 6, 8), norm_name="batch", act_name=("leakyrelu", {"inplace": False, "negative_slope": 0.01})).eval()  # fmt: skip
    image = torch.rand(2, 1, *(16,) * space)
    with torch.no_grad():
        torch.testing.assert_close(network(image), twin(image))
    assert parameter_count(network) == sum(p.numel() for p in twin.parameters())


def test_coarser_heads_put_out_classes_on_coarser_grids_finest_first():
    network = build_network(NetworkSpec(builder="dyn_unet", out_channels=3, options={"filters": (4, 6, 8, 8), "deep_supervision": 2}))
    heads = layer_map_of(network).deep_heads
    kept = trace(network.eval(), torch.rand(1, 1, 32, 32), layers=heads)
    assert [tuple(kept.features[name].shape) for name in heads] == [(1, 3, 16, 16), (1, 3, 8, 8)]


def test_a_weight_is_stored_once():
    network = build_network(NetworkSpec(builder="dyn_unet", options={"filters": (4, 6, 8), "deep_supervision": 1}))
    places = [value.data_ptr() for name, value in network.state_dict().items() if "num_batches" not in name]
    assert len(set(places)) == len(places)
