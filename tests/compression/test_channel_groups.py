from __future__ import annotations

import builtins
import copy
from dataclasses import replace

import pytest
import torch

from data_contracts import CompressionError, MissingDependencyError, NetworkSpec, Task
from medkd.attribution._attribute import attribute
from medkd.catalogue import NETWORKS
from medkd.compression import channel_groups
from medkd.compression.channel_groups import find_channel_groups, removal_is_exact, remove_channels, zero_channels
from medkd.models._build import build_network, parameter_count
from medkd.serving.export_onnx import TOLERANCE, export_onnx
from medkd.targets import class_margin, lesion_margin
from medkd.trace import LayerMap, layer_map_of, trace, with_layer_map

#: Every network of the catalogue → groups of its default build that can be pruned, and the share of its parameters that goes with half of them.
PRUNABLE = {"basic_unet": (22, 0.7), "densenet": (15, 0.6), "dyn_unet": (17, 0.7), "light_unet": (1, 0.009), "plain_conv_unet": (2, 0.09), "residual_encoder_unet": (2, 0.09), "resnet": (8, 0.7), "seg_resnet": (16, 0.7), "unet": (7, 0.7), "vit": (4, 0.2)}  # fmt: skip
#: Networks that compression refuses (candidates.py), and one that is any network of MONAI's.
OTHERS = {"detector", "monai_network", "multi_task_unet", "resnet_with_row"}
SMALL = {"basic_unet": {"features": (4, 4, 6, 8, 8, 4)}, "dyn_unet": {"filters": (4, 6, 8)}, "resnet": {"channels": (4, 6, 8, 8)}, "seg_resnet": {"init_filters": 4, "blocks_down": (1, 1), "blocks_up": (1,)}, "unet": {"channels": (4, 6, 8)}}  # fmt: skip
SEGMENTERS = ("basic_unet", "dyn_unet", "light_unet", "plain_conv_unet", "residual_encoder_unet", "seg_resnet", "unet")


def spec_of(name, dims, options=None):
    return NetworkSpec(builder=name, out_channels=3, spatial_dims=dims, options=options or {})


def with_statistics(network):
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    return network.eval()


def halves(groups):
    return {group.name: torch.arange(0, group.size, 2) for group in groups}


def test_the_table_is_of_every_network_of_the_catalogue():
    assert sorted({*PRUNABLE, *OTHERS}) == list(NETWORKS.names())


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", sorted(PRUNABLE))
def test_half_of_the_channels_of_every_network_go_and_the_rest_answers_as_if_they_had_been_silent(name, dims):
    """Weights go round by a specification; maps, features and head are those of the whole network whose channels were zeroed."""
    spec = spec_of(name, dims, SMALL.get(name))
    network = with_statistics(build_network(spec, seed=2))
    image = torch.randn(2, 1, *(32,) * dims, generator=torch.Generator().manual_seed(5))
    groups = find_channel_groups(network, (32,) * dims)
    zeroed, pruned = copy.deepcopy(network), copy.deepcopy(network)
    zero_channels(zeroed, groups, halves(groups))
    widths = remove_channels(pruned, groups, halves(groups))
    again = build_network(spec.model_copy(update={"layer_widths": widths}), seed=9)
    again.load_state_dict(pruned.state_dict())
    again.eval()
    with torch.no_grad():
        torch.testing.assert_close(pruned(image), zeroed(image), atol=1e-5, rtol=1e-4)
        assert torch.equal(again(image), pruned(image))
        assert float((zeroed(image) - network(image)).abs().max()) > 1e-4
    target = lesion_margin(image[:, 0] > 0) if name in SEGMENTERS else class_margin(1)
    maps = [attribute(one, image, target, explainer=explainer) for one in (again, zeroed) for explainer in ("cam", "saliency")]
    for found, wanted in zip(maps[:2], maps[2:], strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-3)
    known = layer_map_of(again)
    asked = trace(again, image, layers=(known.cam_layer, *known.feature_layers))
    assert asked.head_weight().shape == (3, asked.feature(known.cam_layer).shape[1])


@pytest.mark.parametrize("name", ["resnet", "unet"])
def test_a_pruned_network_is_exported_as_any_other(name):
    """Logits and class maps of the ONNX form are the network's."""
    kind = "segmentation" if name in SEGMENTERS else "classification"
    network = with_statistics(build_network(spec_of(name, 2, SMALL[name]), seed=2))
    groups = find_channel_groups(network, (32, 32))
    remove_channels(network, groups, halves(groups))
    form = export_onnx(network, Task(kind=kind, classes=("none", "a", "b"), image_size=(32, 32)))
    assert form.logits_difference <= TOLERANCE
    assert form.map_difference <= TOLERANCE


@pytest.mark.parametrize("name", sorted(PRUNABLE))
def test_what_can_be_pruned_of_each_family(name):
    network = build_network(spec_of(name, 2))
    groups = find_channel_groups(network, (32, 32))
    whole = parameter_count(network)
    remove_channels(network, groups, halves(groups))
    wanted, least = PRUNABLE[name]
    assert len(groups) == wanted
    assert 1 - parameter_count(network) / whole > least
    read = {part.layer for group in groups for part in group.read}
    # Of nnU-Net's networks the head stands behind all members, each of which is a whole network.
    assert (layer_map_of(network).head in read) is (name not in ("vit", "plain_conv_unet", "residual_encoder_unet"))
    assert not any(layer_map_of(network).head == part.layer for group in groups for part in group.written)


def monai(kind, **options):
    from monai.networks.nets import DynUNet, UNet

    if kind == "dyn_unet":
        return with_layer_map(DynUNet(2, 1, 3, (3, 3, 3), (1, 2, 2), (2, 2)), LayerMap((), "bottleneck", "output_block.conv.conv"))
    return with_layer_map(UNet(2, 1, 3, (4, 8, 8), (2, 2), num_res_units=1, **options), LayerMap((), "model.1", "model.2"))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (monai("unet", act="PRELU", norm="instance"), r"\['InstanceNorm2d', 'PReLU'\] are not followed"),
        (monai("unet", act="PRELU", norm="batch"), r"\['PReLU'\]"),
        (monai("dyn_unet"), r"\['InstanceNorm2d'\]"),
    ],
    ids=["prelu and instance norm", "prelu", "dyn_unet"],
)
def test_a_network_that_the_library_does_not_follow_is_refused_with_the_reason_and_left_as_it_was(network, reason):
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(CompressionError, match=reason) as caught:
        find_channel_groups(network, (16, 16))
    assert caught.value.code == "NOT_PRUNABLE"
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_group_whose_removal_changes_what_is_left_is_not_taken():
    """Of a transformer the width of the tokens and of the attention stays: normalised together, or cut into heads."""
    network = build_network(spec_of("vit", 2))
    assert {group.name.rsplit(".", 2)[1] for group in find_channel_groups(network, (32, 32))} == {"mlp"}


def test_a_group_that_the_library_got_wrong_is_left_out(monkeypatch):
    """Planted: the columns of other channels than those that are written. Shapes fit, and the answer would be another one."""
    network = with_statistics(build_network(spec_of("resnet", 2, SMALL["resnet"])))
    groups, image = find_channel_groups(network, (16, 16)), torch.randn(2, 1, 16, 16)
    (part,) = groups[-1].read
    wrong = replace(groups[-1], read=(replace(part, places=part.places.flip(0)),))
    assert removal_is_exact(network, groups, halves(groups), image)
    assert not removal_is_exact(network, (wrong,), {wrong.name: torch.tensor([0])}, image)
    monkeypatch.setattr(channel_groups, "_groups", lambda *_: (*groups[:-1], wrong))
    assert find_channel_groups(network, (16, 16)) == groups[:-1]
    monkeypatch.setattr(channel_groups, "_groups", lambda *_: (wrong,))
    with pytest.raises(CompressionError, match="removing any of them changes"):
        find_channel_groups(network, (16, 16))


def test_heads_at_coarser_levels_keep_their_classes():
    network = build_network(spec_of("dyn_unet", 2, {"filters": (4, 6, 8, 8), "deep_supervision": 2}))
    groups = find_channel_groups(network, (32, 32))
    heads = {layer_map_of(network).head, *layer_map_of(network).deep_heads}
    assert heads <= {part.layer for group in groups for part in group.read}
    assert not heads & {part.layer for group in groups for part in group.written}


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch):
    known = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", lambda name, *rest: known("no_such_library" if name == "torch_pruning" else name, *rest))
    with pytest.raises(MissingDependencyError, match="compression") as caught:
        find_channel_groups(build_network(spec_of("resnet", 2, SMALL["resnet"])), (16, 16))
    assert caught.value.code == "PRUNING_LIBRARY"
