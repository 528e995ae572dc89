"""Densely connected network: every layer of a block reads all before it."""

from __future__ import annotations

from torch import nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"classification"})
SOURCE = "Huang et al. 2017 (1608.06993); MONAI DenseNet"


def densenet(
    spec: NetworkSpec,
    *,
    init_features: int = 16,
    growth_rate: int = 8,
    block_config: tuple[int, ...] = (2, 2, 2),
    bn_size: int = 2,
    dropout: float = 0.0,
) -> nn.Module:
    """Build a DenseNet; stem and transitions shrink the grid by 4 x 2^(blocks - 1).

    Args:
        spec: channels in and out, spatial dimensions.
        init_features: width of the stem.
        growth_rate: channels that each layer adds.
        block_config: layers per block.
        bn_size: width of the bottleneck, in growth rates.
        dropout: probability after each layer.

    Logits are [batch, classes]; the class map is read after the last activation.
    """
    from monai.networks.nets import DenseNet  # seconds to import: paid where a network is built, not where a recipe is read

    network = DenseNet(
        spatial_dims=spec.spatial_dims,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        init_features=init_features,
        growth_rate=growth_rate,
        block_config=tuple(block_config),
        bn_size=bn_size,
        dropout_prob=dropout,
        act=("relu", {"inplace": False}),
    )
    # No bias, for the reason given in resnet.py: the class map accounts for the whole logit.
    width = int(network.get_parameter("class_layers.out.weight").shape[1])
    network.class_layers.out = nn.Linear(width, spec.out_channels, bias=False)
    blocks = tuple(f"features.denseblock{index}" for index in range(1, len(block_config) + 1))
    return with_layer_map(
        network, LayerMap(feature_layers=(*blocks, "class_layers.relu"), cam_layer="class_layers.relu", head="class_layers.out")
    )
