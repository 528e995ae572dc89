from __future__ import annotations

import json

import pytest
import torch
from monai.networks.nets import BasicUNet

from data_contracts import NetworkSpec, RecipeError
from medkd.attribution.cam import cam
from medkd.models._build import build_network
from medkd.models.monai_network import own_name
from medkd.targets import class_logit
from medkd.trace import has_closed_form, layer_map_of, trace


def of(network, dims=2, size=(), **arguments):
    options = {"network": network, "arguments": json.dumps(arguments), "probe_size": size}
    return build_network(NetworkSpec(builder="monai_network", out_channels=3, spatial_dims=dims, options=options)).eval()


@pytest.mark.parametrize(
    ("name", "dims", "arguments", "head"),
    [
        ("SegResNet", 3, {"init_filters": 4, "blocks_down": [1, 1], "blocks_up": [1], "norm": "batch"}, "head"),
        ("DynUNet", 2, {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 8, 8]}, "head"),
        ("ResNet", 2, {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 4, 4, 4]}, "net.fc"),
        ("UNet", 2, {"channels": [4, 8], "strides": [2]}, "no_head"),
    ],
)
def test_the_last_layer_is_found(name, dims, arguments, head):
    network = of(name, dims, **arguments)
    assert layer_map_of(network).head == head
    assert has_closed_form(network) is (head != "no_head")
    kept = trace(network, torch.randn(2, 1, *(32,) * dims), layers=(*layer_map_of(network).feature_layers, layer_map_of(network).cam_layer))
    assert kept.logits.shape[:2] == (2, 3)


def test_a_densenet_has_its_map_where_the_probe_is_large_enough():
    arguments = {"init_features": 4, "growth_rate": 4, "block_config": [1, 1, 1, 1], "bn_size": 1}
    network = of("DenseNet", 2, (64, 64), **arguments)
    image = torch.randn(1, 1, 64, 64)
    kept = trace(network, image, layers=(layer_map_of(network).cam_layer,))
    logit = 4 * cam(kept, class_logit(1)).flatten(1).mean(1)  # of four cells, each with its part
    torch.testing.assert_close(
        logit, (kept.logits[:, 1] - network.get_submodule(layer_map_of(network).head).bias[1]).detach(), atol=1e-4, rtol=1e-3
    )


def test_weights_of_monais_own_network_give_its_logits():
    given = {"features": [4, 4, 8, 8, 8, 4]}
    torch.manual_seed(3)
    source = BasicUNet(spatial_dims=2, in_channels=1, out_channels=3, **given).eval()
    ours = of("BasicUNet", 2, **given)
    ours.load_state_dict({own_name(ours, name): value for name, value in source.state_dict().items()})
    image = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(ours(image), source(image), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["os", "Path", "nets", "", "__builtins__", "torch.nn.Linear", "Sequence", "DenseNetX"])
def test_nothing_but_a_network_of_monai_is_built(name):
    with pytest.raises(RecipeError) as caught:
        of(name)
    assert caught.value.code == "RECIPE_NETWORK"
