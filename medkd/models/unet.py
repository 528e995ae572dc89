"""Strided U-Net with a 1x1 head: the class map of its last features is closed-form."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"segmentation"})
SOURCE = "Ronneberger et al. 2015 (1505.04597); MONAI UNet (residual, strided)"
#: Parts that read an image, by the begin of their names: what a pretrained encoder brings.
ENCODER = (r"trunk\.(?!model\.(1\.submodule\.)*2\.)",)


class HeadedUNet(nn.Module):
    """MONAI's UNet up to its last features, normalised and activated out of place, and a 1x1 head.

    Without the normalisation a narrow student can begin with so many dead features that a class is never predicted: on the
    hippocampus one seed of two stayed at Dice 0 for the posterior part, with it that seed reached .83 after the same 8 epochs.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, normalisation: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.features = nn.Sequential(normalisation, nn.ReLU(inplace=False))
        self.head = head

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, classes, *space] of an image [batch, channel, *space]."""
        logits: Tensor = self.head(self.features(self.trunk(image)))
        return logits


def unet(
    spec: NetworkSpec,
    *,
    channels: tuple[int, ...] = (16, 32, 64, 128),
    residual_units: int = 1,
    head_features: int = 8,
    strides: tuple[int, ...] = (),
) -> nn.Module:
    """Build a residual U-Net that halves the grid between its levels; the image size must divide by 2^(levels - 1), or by the product of the strides.

    Args:
        spec: channels in and out, spatial dimensions.
        channels: width per level, finest first.
        residual_units: convolutions per residual unit.
        head_features: width of the last features, [batch, head_features, *space], that the 1x1 head reads.
        strides: between neighbouring levels, along each axis, one after another: 1, 2, 2, 2, 2, 2 of three levels of a volume halves its slices once;
            empty halves every axis between all levels.

    Batch norm, not instance norm: the latter quantises and prunes badly.
    """
    from monai.networks.nets import UNet  # seconds to import: paid where a network is built, not where a recipe is read

    gaps, axes = len(channels) - 1, spec.spatial_dims
    flat = tuple(strides) or (2,) * (gaps * axes)
    if len(flat) != gaps * axes or min(flat, default=1) < 1:
        raise ValueError(f"expected {axes} strides of 1 or more for each of {gaps} steps between {len(channels)} levels, got {flat}")
    # MONAI takes a stride per axis too, though its signature says one number.
    each: Any = [flat[axes * gap : axes * (gap + 1)] for gap in range(gaps)] if strides else (2,) * gaps
    trunk = UNet(
        spatial_dims=spec.spatial_dims,
        in_channels=spec.in_channels,
        out_channels=head_features,
        channels=tuple(channels),
        strides=each,
        num_res_units=residual_units,
        norm="batch",
        act=("relu", {"inplace": False}),
    )
    convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if spec.spatial_dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
    network = HeadedUNet(trunk, convolution(head_features, spec.out_channels, kernel_size=1), norm(head_features))
    # MONAI nests its levels: each holds the way down, what lies deeper, and the way up.
    levels = ["trunk.model" + ".1.submodule" * level for level in range(len(channels))]
    encoder = (*(f"{level}.0" for level in levels[:-1]), levels[-1])
    return with_layer_map(network, LayerMap(feature_layers=(levels[-1], "features"), cam_layer="features", head="head", encoder=encoder))
