from __future__ import annotations

import pytest

from data_contracts import NetworkSpec
from medkd.catalogue import NETWORKS
from medkd.models._build import build_network
from medkd.models._take_weights import encoder_names
from medkd.trace import layer_map_of

#: Parts that read the image and parts that do not, of networks with a decoder.
PARTS = {
    "unet": ("trunk.model.1.submodule.1.submodule.0.", "trunk.model.1.submodule.2."),
    "basic_unet": ("down_4.", "upcat_1."),
    "dyn_unet": ("bottleneck.", "upsamples."),
    "seg_resnet": ("down_layers.2", "up_layers."),
    "plain_conv_unet": ("members.0.encoder.", "members.0.decoder."),
    "residual_encoder_unet": ("members.0.encoder.", "members.0.decoder."),
}


@pytest.mark.parametrize("name", NETWORKS.names())
def test_an_encoder_is_part_of_the_network_without_its_head(name):
    network = build_network(NetworkSpec(builder=name))
    found = encoder_names(network, name)
    assert found
    assert not any(one.startswith(f"{layer_map_of(network).head}.") for one in found)
    assert len(found) < len(network.state_dict())
    if name in PARTS:
        reads, writes = PARTS[name]
        assert any(one.startswith(reads) for one in found)
        assert not any(one.startswith(writes) for one in found)
        assert any(one.startswith(writes) for one in network.state_dict())
