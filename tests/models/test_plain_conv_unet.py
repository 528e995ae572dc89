from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from data_contracts import NetworkSpec, RecipeError
from medkd.models._build import build_network, parameter_count

OPTIONS = {"features": (4, 6), "kernel_sizes": (1, 3, 3, 3, 3, 3), "strides": (1, 1, 1, 1, 2, 2), "convs": (1, 1), "decoder_convs": (1,)}


def test_the_network_is_what_its_weights_say_computed_by_hand():
    network = build_network(NetworkSpec(builder="plain_conv_unet", spatial_dims=3, options=OPTIONS), seed=1).eval()
    w = network.state_dict()

    def block(image, place, stride, padding):
        found = functional.conv3d(image, w[f"{place}.conv.weight"], w[f"{place}.conv.bias"], stride, padding)
        return functional.leaky_relu(functional.instance_norm(found, weight=w[f"{place}.norm.weight"], bias=w[f"{place}.norm.bias"]), 0.01)

    image = torch.randn(2, 1, 6, 8, 10)
    first = block(image, "members.0.encoder.stages.0.0.convs.0", 1, (0, 1, 1))
    second = block(first, "members.0.encoder.stages.1.0.convs.0", (1, 2, 2), 1)
    up = functional.conv_transpose3d(
        second, w["members.0.decoder.transpconvs.0.weight"], w["members.0.decoder.transpconvs.0.bias"], (1, 2, 2)
    )
    last = block(torch.cat((up, first), 1), "members.0.decoder.stages.0.convs.0", 1, (0, 1, 1))
    expected = functional.conv3d(last, w["head.weight"], w["head.bias"])
    torch.testing.assert_close(network(image), expected, atol=1e-5, rtol=1e-5)


def test_an_affine_is_what_the_network_sees():
    plain, scaled = (
        build_network(NetworkSpec(builder="plain_conv_unet", options=more), seed=1).eval()
        for more in ({}, {"input_scale": 3.0, "input_shift": -2.0})
    )
    image = torch.randn(1, 1, 16, 16)
    torch.testing.assert_close(scaled(image), plain(image * 3 - 2))


def test_members_share_their_build_and_not_their_weights():
    one, two = (build_network(NetworkSpec(builder="plain_conv_unet", options={"members": n})) for n in (1, 2))
    heads = [parameter_count(network.head) for network in (one, two)]
    assert parameter_count(two) - heads[1] == 2 * (parameter_count(one) - heads[0])


@pytest.mark.parametrize(
    "wrong",
    [{"features": (4,)}, {"strides": (1, 1)}, {"convs": (1, 2)}, {"members": 0}, {"axes": (0, 0)}, {"flips": (5,)}, {"norm": "group"}],
)
def test_options_that_make_no_network_are_refused(wrong):
    with pytest.raises(RecipeError) as caught:
        build_network(NetworkSpec(builder="plain_conv_unet", options=wrong))
    assert caught.value.code == "RECIPE_NETWORK"
