"""The light U-Net works on half of the grid, and its class map is closed-form on the whole."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from data_contracts import NetworkSpec, RecipeError
from medkd.attribution.cam import cam
from medkd.models._build import build_network, parameter_count
from medkd.targets import class_logit
from medkd.trace import layer_map_of, trace


def built(dims=3, **options):
    return build_network(NetworkSpec(builder="light_unet", out_channels=3, spatial_dims=dims, options=options), seed=1).eval()


def test_the_student_of_the_hippocampus_is_twenty_five_times_smaller_than_its_teacher():
    teacher = build_network(NetworkSpec(builder="unet", out_channels=3, spatial_dims=3, options={"channels": (24, 48, 96, 128)}))
    assert (parameter_count(teacher), parameter_count(built())) == (1_100_459, 43_944)


def test_the_network_is_what_its_weights_say_computed_by_hand():
    network = built(channels=(4, 6), blocks=(0, 1), head_features=2)
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    w = network.state_dict()

    def norm(found, place):
        return functional.batch_norm(found, *(w[f"{place}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))

    def block(image, place, stride=1):
        alone = functional.conv3d(image, w[f"{place}.depthwise.0.weight"], None, stride, 1, groups=image.shape[1])
        mixed = norm(
            functional.conv3d(norm(alone, f"{place}.depthwise.1").relu(), w[f"{place}.pointwise.0.weight"]), f"{place}.pointwise.1"
        )
        return (mixed + image if mixed.shape == image.shape else mixed).relu()

    image = torch.randn(2, 1, 8, 12, 16, generator=generator)
    fine = norm(functional.conv3d(image, w["stem.0.weight"], None, 2, 1), "stem.1").relu()
    deep = block(block(fine, "encoder.1.0", 2), "encoder.1.1")
    up = norm(functional.conv_transpose3d(deep, w["decoder.0.up.0.weight"], None, 2), "decoder.0.up.1")
    half = block((up + fine).relu(), "decoder.0.block")
    last = norm(functional.conv_transpose3d(half, w["features.0.weight"], None, 2), "features.1").relu()
    with torch.no_grad():
        torch.testing.assert_close(network(image), functional.conv3d(last, w["head.weight"]), atol=1e-5, rtol=1e-5)


def test_only_the_last_features_and_the_head_work_on_the_whole_grid():
    network, whole_grid = built(dims=2), []
    trace(network, torch.randn(1, 1, 32, 32), on_output=lambda module, output: whole_grid.extend([module] * (output.shape[2] == 32)))
    whole = {name for name, module in network.named_modules() if module in whole_grid}
    assert whole == {"features.0", "features.1", "features.2", "head"}


@pytest.mark.parametrize("dims", [2, 3])
def test_the_class_map_is_the_logit_for_the_head_has_no_bias(dims):
    network = built(dims)
    kept = trace(network, torch.randn(1, 1, *(16,) * dims, generator=torch.Generator().manual_seed(0)), layers=("features",))
    torch.testing.assert_close(cam(kept, class_logit(1)), kept.logits[:, 1].detach(), atol=1e-5, rtol=1e-4)
    assert layer_map_of(network).encoder_blocks() == ("encoder.0", "encoder.1", "encoder.2")


@pytest.mark.parametrize("wrong", [{"channels": (8,), "blocks": (1,)}, {"channels": (8, 16)}, {"blocks": (1, 1)}])
def test_options_that_make_no_network_are_refused(wrong):
    with pytest.raises(RecipeError, match="two levels or more") as caught:
        built(**wrong)
    assert caught.value.code == "RECIPE_NETWORK"
