"""Networks whose attributions can be written down."""

import torch
from torch import nn

from medkd.trace import LayerMap, with_layer_map


class Linear(nn.Module):
    """Logits = W image + b, over the flattened image."""

    def __init__(self, weight, bias=0.0):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = bias
        self.inner = nn.Identity()
        with_layer_map(self, LayerMap(feature_layers=("inner",), cam_layer="inner", head="inner"))

    def forward(self, image):
        return self.inner(image).flatten(1) @ self.weight.T + self.bias


class OneConvolution(nn.Module):
    """Convolution, rectifier, global average, linear head: everything above the features is linear."""

    def __init__(self, space=2, seed=0, features=3):
        super().__init__()
        torch.manual_seed(seed)
        kind = nn.Conv2d if space == 2 else nn.Conv3d
        self.convolution = kind(1, features, 3, padding=1)
        self.features = nn.ReLU()
        self.head = nn.Linear(features, 2, bias=False)
        with_layer_map(self, LayerMap(feature_layers=("features",), cam_layer="features", head="head"))

    def forward(self, image):
        return self.head(self.features(self.convolution(image)).flatten(2).mean(2))


def linear(classes=3, size=(8, 8), seed=1):
    """Return a linear network and its weights as images [classes, *size]."""
    count = 1
    for extent in size:
        count *= extent
    weight = torch.randn(classes, count, generator=torch.Generator().manual_seed(seed))
    return Linear(weight), weight.reshape(classes, *size)


def margin_of(weight, index):
    """Return the weight of a class margin: its own less the mean of the others."""
    others = [row for row in range(len(weight)) if row != index]
    return weight[index] - weight[others].mean(0)
