"""U-Net that works on half of the image's grid, with depthwise separable blocks: fast on a processor, its class map closed-form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"segmentation"})
SOURCE = "Howard et al. 2017 (MobileNet, 1704.04861): depthwise separable blocks; Chaurasia & Culurciello 2017 (LinkNet, 1707.03718): skips are added"
#: Parts that read an image, by the begin of their names: what a pretrained encoder brings.
ENCODER = (r"stem\.", r"encoder\.")
_CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class SeparableBlock(nn.Module):
    """A 3-wide convolution of each channel alone, then a 1x1 convolution over channels; what comes in is added where it has the same shape."""

    def __init__(self, dims: int, channels: tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        inputs, outputs = channels
        convolution, norm = _CONVOLUTION[dims], _NORM[dims]
        self.depthwise = nn.Sequential(convolution(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), norm(inputs), nn.ReLU())
        self.pointwise = nn.Sequential(convolution(inputs, outputs, 1, bias=False), norm(outputs))
        self.relu = nn.ReLU()
        self.adds = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Return features [batch, channels out, *grid], on every second voxel under a stride of 2."""
        found: Tensor = self.pointwise(self.depthwise(features))
        found = self.relu(found + features if self.adds else found)
        return found


class _Up(nn.Module):
    """Features of a coarser grid are brought to a finer one and added to those of the way down."""

    def __init__(self, dims: int, channels: tuple[int, int]) -> None:
        super().__init__()
        self.up = nn.Sequential(_TRANSPOSED[dims](*channels, 2, 2, bias=False), _NORM[dims](channels[1]))
        self.relu = nn.ReLU()
        self.block = SeparableBlock(dims, (channels[1],) * 2)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """Return features [batch, channels out, *grid of the skip]."""
        found: Tensor = self.block(self.relu(self.up(features) + skip))
        return found


class LightUNet(nn.Module):
    """A strided stem, an encoder and a decoder on half of the grid and below, one layer back to the whole grid, and a 1x1 head."""

    def __init__(self, spec: NetworkSpec, channels: Sequence[int], blocks: Sequence[int], head_features: int) -> None:
        super().__init__()
        dims, first = spec.spatial_dims, channels[0]
        convolution, norm = _CONVOLUTION[dims], _NORM[dims]
        self.stem = nn.Sequential(convolution(spec.in_channels, first, 3, 2, 1, bias=False), norm(first), nn.ReLU())
        downs: list[list[nn.Module]] = [[]]
        downs += [[SeparableBlock(dims, pair, stride=2)] for pair in pairwise(channels)]
        levels = zip(downs, channels, blocks, strict=True)
        self.encoder = nn.ModuleList(
            nn.Sequential(*down, *(SeparableBlock(dims, (width, width)) for _ in range(count))) for down, width, count in levels
        )
        self.decoder = nn.ModuleList(_Up(dims, (deep, fine)) for fine, deep in reversed(list(pairwise(channels))))
        # Each voxel of the whole grid has weights of its own within its cell of the half one: sub-pixel convolution by another name.
        self.features = nn.Sequential(_TRANSPOSED[dims](first, head_features, 2, 2, bias=False), norm(head_features), nn.ReLU())
        # Without a bias the class maps are the logits: a run-time writes them out once.
        self.head = convolution(head_features, spec.out_channels, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, classes, *space] of an image [batch, channel, *space]."""
        found, skips = self.stem(image), list[Tensor]()
        for level in self.encoder:
            found = level(found)
            skips.append(found)
        for place, up in enumerate(self.decoder):
            found = up(found, skips[-2 - place])
        logits: Tensor = self.head(self.features(found))
        return logits


def light_unet(
    spec: NetworkSpec,
    *,
    channels: tuple[int, ...] = (16, 32, 64),
    blocks: tuple[int, ...] = (1, 1, 2),
    head_features: int = 8,
) -> nn.Module:
    """Build the network; the image size must divide by 2^levels.

    Args:
        spec: channels in and out, spatial dimensions.
        channels: width per level, that of half of the grid first.
        blocks: separable blocks per level of the encoder, beside the one that halves the grid.
        head_features: width of the last features, [batch, head_features, *space], that the 1x1 head reads.

    Layers on the whole grid are what a volume waits for: there are three, of few channels.

    Raises:
        ValueError: for another number of widths than of blocks.
    """
    if len(channels) != len(blocks) or len(channels) < 2:
        raise ValueError(f"expected two levels or more with their blocks, got channels {tuple(channels)} and blocks {tuple(blocks)}")
    network = LightUNet(spec, channels, blocks, head_features)
    encoder = tuple(f"encoder.{level}" for level in range(len(channels)))
    return with_layer_map(network, LayerMap(feature_layers=(encoder[-1], "features"), cam_layer="features", head="head", encoder=encoder))
