from __future__ import annotations

import pytest
import torch
from torch import nn

from medkd.trace import LayerMap, Trace, with_layer_map


@pytest.fixture
def made_trace():
    """Return a maker of traces with given logits and features: what a loss reads, without a network."""

    def make(logits=None, features=None):
        logits = torch.zeros(len(features), 2) if logits is None else logits
        model = with_layer_map(nn.Identity(), LayerMap(feature_layers=("layer",), cam_layer="layer", head=""))
        image = torch.zeros(len(logits), 1, *(logits.shape[2:] or (8, 8)))
        return Trace(
            model=model, inputs={"image": image}, outputs={"default": logits}, features={} if features is None else {"layer": features}
        )

    return make


@pytest.fixture
def draw():
    """Return a maker of normal draws by shape and seed."""
    return lambda *shape, seed=0: torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
