"""Lesion detector: a strided stem, a small U-Net, and for each cell of its grid a class logit and a box."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from data_contracts import NetworkSpec, RecipeError
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"detection"})
SOURCE = "dense heads: RetinaNet, Lin et al. 2017 (1708.02002); centres and sizes: CenterNet, Zhou et al. 2019 (1904.07850); U-Net body: Retina U-Net, Jaeger et al. 2020 (1811.08661)"
#: Share of cells that an untrained detector takes for a lesion's centre (Lin et al. 2017, section 4.1).
PRIOR = 0.02


class Detector(nn.Module):
    """Stem, U-Net, normalised features, and two 1x1 heads. The class logits are what it returns; a trace holds the boxes beside them."""

    def __init__(self, trunk: nn.Module, normalisation: nn.Module, heads: tuple[nn.Module, nn.Module]) -> None:
        super().__init__()
        self.trunk = trunk
        self.features = nn.Sequential(normalisation, nn.ReLU(inplace=False))
        self.head, self.boxes = heads

    def forward(self, image: Tensor) -> Tensor:
        """Return class logits [batch, classes, *cells] of an image [batch, channel, *space]."""
        features = self.features(self.trunk(image))
        # Read by the hook of a trace: what takes logits takes them of any network alike.
        self.boxes(features)
        logits: Tensor = self.head(features)
        return logits


def detector(
    spec: NetworkSpec, *, channels: tuple[int, ...] = (16, 32, 64), stride: int = 4, residual_units: int = 1, head_features: int = 16
) -> nn.Module:
    """Build a detector whose cells are ``stride`` voxels wide; the image size must divide by stride x 2^(levels - 1).

    Args:
        spec: channels in and out, spatial dimensions. The first class is the background.
        channels: width per level of the U-Net, finest first.
        stride: 1, 2, 4 or 8: voxels of a cell along each axis.
        residual_units: convolutions per residual unit.
        head_features: width of the last features, [batch, head_features, *cells], that both 1x1 heads read.

    Raises:
        RecipeError: ``RECIPE_NETWORK`` for another stride.

    The box head puts out, per cell, the offset of the centre from the cell's own and the logarithm of the size, both in cells: [batch, 2 x axes,
    *cells].
    """
    from monai.networks.nets import UNet  # seconds to import: paid where a network is built, not where a recipe is read

    if stride not in (1, 2, 4, 8):
        raise RecipeError("RECIPE_NETWORK", f"expected a stride of 1, 2, 4 or 8 for the detector, got {stride}")
    convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if spec.spatial_dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
    steps = int(math.log2(stride))
    stem: list[nn.Module] = []
    for step in range(steps):
        inputs = spec.in_channels if step == 0 else channels[0]
        stem += [convolution(inputs, channels[0], 3, stride=2, padding=1, bias=False), norm(channels[0]), nn.ReLU(inplace=False)]
    body = UNet(
        spatial_dims=spec.spatial_dims,
        in_channels=channels[0] if steps else spec.in_channels,
        out_channels=head_features,
        channels=tuple(channels),
        strides=(2,) * (len(channels) - 1),
        num_res_units=residual_units,
        norm="batch",
        act=("relu", {"inplace": False}),
    )
    head, boxes = convolution(head_features, spec.out_channels, 1), convolution(head_features, 2 * spec.spatial_dims, 1)
    with torch.no_grad():
        bias = head.get_parameter("bias")
        bias.zero_()
        bias[1:] = math.log(PRIOR / (1 - PRIOR))
    network = Detector(nn.Sequential(*stem, body), norm(head_features), (head, boxes))
    deepest = f"trunk.{len(stem)}.model" + ".1.submodule" * (len(channels) - 1)
    known = LayerMap(feature_layers=(deepest, "features"), cam_layer="features", head="head", other_heads={"boxes": "boxes"})
    return with_layer_map(network, known)
