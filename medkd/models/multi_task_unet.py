"""U-Net with a second head: one encoder segments the image and classifies it as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"segmentation"})
#: Heads beside the one that segments.
HEADS = frozenset({"classification"})
SOURCE = "shared encoder: Caruana 1997; U-Net: Ronneberger et al. 2015 (1505.04597); classification at the bottleneck: Mehta et al. 2018 (Y-Net, 1806.01313)"
CASE_CLASSES = 2


class MultiTaskUNet(nn.Module):
    """Encoder, decoder with skips, a 1x1 head that segments, and a linear head on the averaged bottleneck that classifies.

    The logits of the segmentation are what it returns; a trace holds those of the classification beside them.
    """

    def __init__(
        self,
        encoder: Sequence[nn.Module],
        decoder: Sequence[tuple[nn.Module, nn.Module]],
        heads: tuple[nn.Module, nn.Module],
        final: nn.Module,
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(encoder)
        self.up, self.fuse = (nn.ModuleList(parts) for parts in zip(*decoder, strict=True))
        self.bottleneck = nn.Identity()
        self.features = final
        self.head, self.case_head = heads

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [batch, classes, *space] of an image [batch, channel, *space]."""
        skips: list[Tensor] = []
        values = image
        for level in self.encoder:
            values = level(values)
            skips.append(values)
        values = self.bottleneck(skips.pop())
        # Read by the hook of a trace: what takes logits takes them of any network alike.
        self.case_head(values.flatten(2).mean(2))
        for up, fuse in zip(self.up, self.fuse, strict=True):
            values = fuse(torch.cat([up(values), skips.pop()], 1))
        logits: Tensor = self.head(self.features(values))
        return logits


def multi_task_unet(spec: NetworkSpec, *, channels: tuple[int, ...] = (16, 32, 64, 128), residual_units: int = 1) -> nn.Module:
    """Build the network; the grid is halved between its levels, so that the image size must divide by 2^(levels - 1).

    Args:
        spec: channels in and out, spatial dimensions. The heads' classes are ``classes`` and ``case_classes`` of the task.
        channels: width per level, finest first; the head that classifies reads the last.
        residual_units: convolutions per residual unit.

    The head that classifies has no bias, as those of the classifiers (``medkd/README.md``): its class map accounts for its whole answer.
    """
    from monai.networks.blocks.convolutions import ResidualUnit  # seconds to import: paid where a network is built

    dims = spec.spatial_dims
    convolution, transposed = (nn.Conv2d, nn.ConvTranspose2d) if dims == 2 else (nn.Conv3d, nn.ConvTranspose3d)
    norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d
    shared: dict[str, Any] = {"subunits": residual_units, "norm": "batch", "act": ("relu", {"inplace": False})}
    widths = (spec.in_channels, *channels)
    encoder = [
        ResidualUnit(dims, inputs, width, strides=1 if level == 0 else 2, **shared)
        for level, (inputs, width) in enumerate(itertools.pairwise(widths))
    ]
    decoder = [
        (transposed(deep, width, 2, stride=2), ResidualUnit(dims, 2 * width, width, strides=1, **shared))
        for deep, width in zip(channels[:0:-1], channels[-2::-1], strict=True)
    ]
    heads = convolution(channels[0], spec.out_channels, 1), nn.Linear(channels[-1], CASE_CLASSES, bias=False)
    final = nn.Sequential(norm(channels[0]), nn.ReLU(inplace=False))
    network = MultiTaskUNet(encoder, decoder, heads, final)
    known = LayerMap(
        feature_layers=("bottleneck", "features"),
        cam_layer="features",
        head="head",
        other_heads={"classification": "case_head"},
        other_cam_layers={"classification": "bottleneck"},
    )
    return with_layer_map(network, known)
