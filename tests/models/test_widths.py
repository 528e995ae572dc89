from __future__ import annotations

import pytest
import torch
from torch import nn

from data_contracts import NetworkSpec, RecipeError
from medkd.models._build import build_network
from medkd.models._widths import keep_channels, narrowed, widths_of

UNET = NetworkSpec(builder="unet", out_channels=3, options={"channels": (8, 16, 24)})
KEPT, WANTED = torch.tensor([0, 3, 4]), torch.tensor([5, 1])


@pytest.mark.parametrize(
    "module",
    [nn.Conv2d(6, 10, 3, stride=2, padding=1), nn.ConvTranspose3d(6, 7, 3, padding=1, bias=False), nn.Linear(6, 9)],
    ids=["2d", "transposed 3d", "linear"],
)
def test_a_layer_answers_with_the_outputs_and_to_the_inputs_that_are_kept(module):
    space = () if isinstance(module, nn.Linear) else (5,) * (module.weight.ndim - 2)
    image = torch.randn(2, 6, *space, generator=torch.Generator().manual_seed(0))
    blind = image.clone()
    blind[:, [1, 2, 5]] = 0  # what is not kept tells the whole layer nothing
    wanted = module(blind)[:, WANTED]
    keep_channels(module, KEPT, WANTED)
    torch.testing.assert_close(module(image[:, KEPT]), wanted)
    assert widths_of(module) == (3, 2)


def test_a_normalisation_keeps_the_statistics_of_its_features():
    norm = nn.BatchNorm2d(6).eval()
    norm.running_mean.copy_(torch.arange(6.0))
    norm.bias.data.copy_(torch.arange(6.0) / 10)
    image = torch.randn(2, 6, 4, 4)
    wanted = norm(image)[:, KEPT]
    keep_channels(norm, None, KEPT)
    torch.testing.assert_close(norm(image[:, KEPT]), wanted)
    assert widths_of(norm) == (3, 3)


def test_a_specification_without_widths_has_the_digest_that_it_had():
    assert "layer_widths" not in UNET.model_dump(mode="json")
    narrow = UNET.model_copy(update={"layer_widths": {"head": (4, 3)}})
    assert narrow.digest() != UNET.digest()
    assert NetworkSpec.model_validate_json(narrow.model_dump_json()) == narrow


def test_building_a_narrow_network_takes_nothing_from_the_generator_of_the_caller():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    build_network(
        UNET.model_copy(update={"layer_widths": {"head": (4, 3), "features.0": (4, 4), "trunk.model.2.1.conv.unit0.conv": (8, 4)}})
    )
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("layer", "widths"), [("no.such", (1, 1)), ("head", (99, 3)), ("features.1", (1, 1))])
def test_widths_that_are_not_of_this_network_are_refused(layer, widths):
    with pytest.raises(RecipeError, match="can be narrowed") as caught:
        narrowed(build_network(UNET), {layer: widths})
    assert caught.value.code == "LAYER_WIDTHS"
