"""Residual encoder with a light decoder; the class map of its last features is closed-form."""

from __future__ import annotations

from torch import nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"segmentation"})
SOURCE = "Myronenko 2018 (1810.11654), without the autoencoder branch; MONAI SegResNet"
#: Parts that read an image, by the begin of their names: what a pretrained encoder brings.
ENCODER = (r"convInit\.", r"down_layers\.")


def seg_resnet(
    spec: NetworkSpec,
    *,
    init_filters: int = 8,
    blocks_down: tuple[int, ...] = (1, 2, 2, 4),
    blocks_up: tuple[int, ...] = (1, 1, 1),
    dropout: float = 0.0,
) -> nn.Module:
    """Build a SegResNet; the image size must divide by 2^(levels - 1).

    Args:
        spec: channels in and out, spatial dimensions.
        init_filters: width of the finest level; it doubles downwards.
        blocks_down: residual blocks per level of the encoder.
        blocks_up: residual blocks per level of the decoder, one entry fewer.
        dropout: probability after the first convolution, 0 for none.
    """
    from monai.networks.nets import SegResNet  # seconds to import: paid where a network is built, not where a recipe is read

    network = SegResNet(
        spatial_dims=spec.spatial_dims,
        init_filters=init_filters,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        blocks_down=tuple(blocks_down),
        blocks_up=tuple(blocks_up),
        dropout_prob=dropout or None,
        norm="batch",
        act=("relu", {"inplace": False}),
    )
    # MONAI shares one activation among all blocks; the one before the head must be its own to be tapped.
    network.conv_final[1] = nn.ReLU(inplace=False)
    down = tuple(f"down_layers.{level}" for level in range(len(blocks_down)))
    up = tuple(f"up_layers.{level}" for level in range(len(blocks_up)))
    layers = (*down, *up, "conv_final.1")
    return with_layer_map(network, LayerMap(feature_layers=layers, cam_layer="conv_final.1", head="conv_final.2.conv", encoder=down))
