"""U-Net in the manner of nnU-Net, with heads at coarser levels for deep supervision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

if TYPE_CHECKING:
    from monai.networks.nets import DynUNet

TASKS = frozenset({"segmentation"})
SOURCE = "Isensee et al. 2021 (nnU-Net, 1904.08128); MONAI DynUNet"
#: Parts that read an image, by the begin of their names: what a pretrained encoder brings.
ENCODER = (r"input_block\.", r"downsamples\.", r"bottleneck\.")


class HeadedDynUNet(nn.Module):
    """The blocks of MONAI's DynUNet, each held once (its own forward keeps them twice, and its heads' outputs between passes)."""

    def __init__(self, net: DynUNet) -> None:
        super().__init__()
        self.input_block, self.downsamples, self.bottleneck = net.input_block, net.downsamples, net.bottleneck
        self.upsamples = net.upsamples
        self.deep_heads = nn.ModuleList(head.conv.conv for head in (net.deep_supervision_heads if net.deep_supervision else ()))
        self.head = net.output_block.conv.conv

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, classes, *space] of an image [batch, channel, *space]; coarser logits pass through ``deep_heads``."""
        levels = [self.input_block(image)]
        for down in self.downsamples:
            levels.append(down(levels[-1]))
        features = self.bottleneck(levels[-1])
        for level, up in zip(reversed(range(len(levels))), self.upsamples, strict=True):
            features = up(features, levels[level])
            if 0 < level <= len(self.deep_heads):
                self.deep_heads[level - 1](features)  # read by taps
        logits: Tensor = self.head(features)
        return logits


def dyn_unet(
    spec: NetworkSpec, *, filters: tuple[int, ...] = (16, 32, 64, 128), deep_supervision: int = 0, residual: bool = False
) -> nn.Module:
    """Build a DynUNet that halves the grid between its levels; the image size must divide by 2^(levels - 1).

    Args:
        spec: channels in and out, spatial dimensions.
        filters: width per level, finest first.
        deep_supervision: heads at coarser levels of the decoder, at most levels - 2; the loss ``deep_supervision`` reads them.
        residual: residual blocks instead of plain ones.
    """
    from monai.networks.nets import DynUNet  # seconds to import: paid where a network is built, not where a recipe is read

    levels = len(filters)
    net = DynUNet(
        spatial_dims=spec.spatial_dims,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        kernel_size=(3,) * levels,
        strides=(1, *(2,) * (levels - 1)),
        upsample_kernel_size=(2,) * (levels - 1),
        filters=tuple(filters),
        norm_name="batch",
        act_name=("leakyrelu", {"inplace": False, "negative_slope": 0.01}),
        deep_supervision=deep_supervision > 0,
        deep_supr_num=max(deep_supervision, 1),
        res_block=residual,
    )
    network = HeadedDynUNet(net)
    heads = tuple(f"deep_heads.{index}" for index in range(deep_supervision))
    feature_layers = ("bottleneck", *(f"upsamples.{index}" for index in range(levels - 1)))
    encoder = ("input_block", *(f"downsamples.{index}" for index in range(levels - 2)), "bottleneck")
    layer_map = LayerMap(feature_layers=feature_layers, cam_layer=feature_layers[-1], head="head", deep_heads=heads, encoder=encoder)
    return with_layer_map(network, layer_map)
