"""U-Net with two convolutions per level and max pooling; the class map of its last features is closed-form."""

from __future__ import annotations

from torch import nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"segmentation"})
SOURCE = "Falk et al. 2019 (U-Net for cell counting); MONAI BasicUNet"
#: Parts that read an image, by the begin of their names: what a pretrained encoder brings.
ENCODER = (r"conv_0\.", r"down_\d+\.")


def basic_unet(spec: NetworkSpec, *, features: tuple[int, ...] = (16, 16, 32, 64, 128, 16)) -> nn.Module:
    """Build a five-level U-Net; the image size must divide by 16.

    Args:
        spec: channels in and out, spatial dimensions.
        features: width of the five levels, finest first, and of the last features that the 1x1 head reads.
    """
    from monai.networks.nets import BasicUNet  # seconds to import: paid where a network is built, not where a recipe is read

    network = BasicUNet(
        spatial_dims=spec.spatial_dims,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        features=tuple(features),
        norm="batch",
        act=("LeakyReLU", {"negative_slope": 0.1, "inplace": False}),
    )
    layers, encoder = ("down_4", "upcat_4", "upcat_3", "upcat_2", "upcat_1"), ("conv_0", "down_1", "down_2", "down_3", "down_4")
    return with_layer_map(network, LayerMap(feature_layers=layers, cam_layer="upcat_1", head="final_conv", encoder=encoder))
