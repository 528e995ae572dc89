from __future__ import annotations

import pytest
import torch
from torch import nn

from data_contracts import NetworkSpec, RecipeError
from medkd.models._build import build_network, parameter_count
from medkd.models._tucker import _product, factorised, share_for

UNET = NetworkSpec(builder="unet", out_channels=3, spatial_dims=3, options={"channels": (8, 16, 24)})


@pytest.mark.parametrize(
    "module",
    [nn.Conv2d(6, 10, 3, stride=2, padding=1), nn.ConvTranspose3d(5, 7, 3, stride=2, padding=1, output_padding=1), nn.Conv3d(4, 4, 1)],
    ids=["2d", "transposed 3d", "1x1"],
)
def test_with_all_ranks_a_product_is_the_convolution(module):
    image = torch.randn(2, module.in_channels, *(6,) * (module.weight.ndim - 2), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(_product(module, 1.0)(image), module(image), atol=1e-4, rtol=1e-4)


def test_fewer_ranks_keep_what_the_leading_subspaces_hold():
    """A kernel of rank two along both channels is whole with two ranks, and not with one."""
    generator = torch.Generator().manual_seed(1)
    into, out_of, core = (torch.randn(*shape, generator=generator) for shape in ((8, 2), (12, 2), (2, 2, 3, 3)))
    module = nn.Conv2d(8, 12, 3)
    module.weight.data = torch.einsum("or,is,rskl->oikl", out_of, into, core)
    image = torch.randn(1, 8, 9, 9, generator=generator)
    whole, less = _product(module, 0.2)(image), _product(module, 0.05)(image)
    assert float((whole - module(image)).abs().max()) < 1e-3
    assert float((less - module(image)).abs().max()) > 0.1


def test_a_network_is_brought_below_a_number_of_parameters_and_built_again_from_its_specification():
    network = build_network(UNET, seed=1).eval()
    most = parameter_count(network) // 6
    share = share_for(network, most)
    small = factorised(network, share)
    assert 0.7 * most < parameter_count(small) <= most
    again = build_network(UNET.model_copy(update={"rank_ratio": share}), seed=5).eval()
    again.load_state_dict(small.state_dict())
    image = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(image), small.eval()(image))
    assert parameter_count(network) > 5 * most


def test_what_cannot_become_so_small_is_refused():
    with pytest.raises(RecipeError) as caught:
        share_for(build_network(UNET), 50)
    assert caught.value.code == "COMPRESSION_IMPOSSIBLE"
