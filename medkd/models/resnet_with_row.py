"""Residual network beside a clinical row: the logits of the image and those of the row are added (late fusion)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import NetworkSpec
from medkd.models.resnet import resnet
from medkd.trace import LayerMap, with_layer_map

TASKS = frozenset({"classification"})
SOURCE = "late fusion, as in Huang et al. 2020 (npj Digital Medicine 3, 136); spatially replicated labels, Choi et al. 2018 (1711.09020)"
#: Its last channels may carry a clinical row.
ROW = True


class ResnetWithRow(nn.Module):
    """An image network and a small perceptron on the row, whose logits are added.

    The row comes as the last channels of the image, one value each. It is read as the median over their voxels, so that an explainer that hides
    less than half of an image hides nothing of the row, and without a gradient: a map of the image shows the image alone.

    Args:
        network: of the image.
        row: of the row; None where there is none.
        row_channels: how many of the channels are the row.
    """

    def __init__(self, network: nn.Module, row: nn.Module | None, row_channels: int) -> None:
        super().__init__()
        self.network, self.row, self.row_channels = network, row, row_channels

    def forward(self, image: Tensor) -> Any:
        """Return logits [batch, classes] of an image [batch, channel, *space]."""
        if self.row is None:
            return self.network(image)
        pictures, planes = image[:, : -self.row_channels], image[:, -self.row_channels :].detach()
        values = torch.median(planes.flatten(2), dim=2).values
        return self.network(pictures) + self.row(values)


def resnet_with_row(
    spec: NetworkSpec, *, channels: tuple[int, ...] = (16, 32, 64, 128), blocks: tuple[int, ...] = (1, 1, 1, 1), hidden: int = 16
) -> nn.Module:
    """Build a ResNet (``resnet``) and a perceptron of one hidden layer on the row.

    Args:
        spec: channels in (those of the row last) and out, spatial dimensions; ``row_channels`` of 0 leaves the image network alone.
        channels: width of the four stages.
        blocks: basic blocks per stage.
        hidden: units of the perceptron.

    Logits are [batch, classes]; the class map is that of the image's part of the logits.
    """
    pictures = spec.model_copy(update={"in_channels": spec.in_channels - spec.row_channels})
    network = resnet(pictures, channels=channels, blocks=blocks)
    row = (
        nn.Sequential(nn.Linear(spec.row_channels, hidden), nn.GELU(), nn.Linear(hidden, spec.out_channels)) if spec.row_channels else None
    )
    named = LayerMap(feature_layers=tuple(f"network.layer{stage}" for stage in range(1, 5)), cam_layer="network.layer4", head="network.fc")
    return with_layer_map(ResnetWithRow(network, row, spec.row_channels), named)
