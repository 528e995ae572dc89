"""Residual network with stride 1 at the stem: small images keep a map worth explaining (8 x 8 at 64 pixels)."""

from __future__ import annotations

from torch import nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"classification"})
SOURCE = "He et al. 2016 (1512.03385); MONAI ResNet"


def resnet(
    spec: NetworkSpec,
    *,
    channels: tuple[int, ...] = (16, 32, 64, 128),
    blocks: tuple[int, ...] = (1, 1, 1, 1),
    stem_stride: int = 1,
    stem_kernel: int = 3,
) -> nn.Module:
    """Build a basic-block ResNet: stem, four stages (each after the first halves the grid), global average, linear head.

    Args:
        spec: channels in and out, spatial dimensions.
        channels: width of the four stages.
        blocks: basic blocks per stage.
        stem_stride: 1 keeps the grid, 2 halves it (for images of 128 pixels and more).
        stem_kernel: kernel of the stem's convolution.

    Logits are [batch, classes]; ``layer4`` is [batch, channels[3], *grid] and feeds the head through the global average.
    """
    from monai.networks.nets import ResNet  # seconds to import: paid where a network is built, not where a recipe is read

    network = ResNet(
        "basic",
        list(blocks),
        list(channels),
        spatial_dims=spec.spatial_dims,
        n_input_channels=spec.in_channels,
        conv1_t_size=stem_kernel,
        conv1_t_stride=stem_stride,
        no_max_pool=True,
        num_classes=spec.out_channels,
        act=("relu", {"inplace": False}),
    )
    # No bias: the class map then accounts for the whole logit. With one, a network may keep maps of one sign for all cases and
    # let the bias decide, so that the direction of a map, which is what attribution_transfer copies, says nothing of the class.
    network.fc = nn.Linear(channels[-1], spec.out_channels, bias=False)
    return with_layer_map(network, LayerMap(feature_layers=("layer1", "layer2", "layer3", "layer4"), cam_layer="layer4", head="fc"))
