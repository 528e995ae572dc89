"""A network whose answers and maps are known, and one study that it explained: what tests of profiles need."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medkd.trace import LayerMap
from tests.drift.phantom_drift import as_loaded, explained_by, make_studies


class Bright(nn.Module):
    """Calls lesion what is brighter than a bound on the mean of its neighbourhood."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 1, 5, padding=2)
        self.features.weight.data.fill_(1 / 25)
        self.features.bias.data.zero_()
        self.head = nn.Conv2d(1, 2, 1)
        self.head.weight.data = torch.tensor([-8.0, 8.0]).view(2, 1, 1, 1)
        self.head.bias.data = torch.tensor([3.0, -3.0])
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(image))


@pytest.fixture(scope="session")
def student():
    """Return the model, the explanation (record, arrays) of a study that it finds one lesion in, and the study."""
    loaded = as_loaded(Bright().eval())
    for study in make_studies(20, 3):
        made = explained_by(loaded, study)
        if len(made.record.explained) == 1:
            return loaded, (made.record, made.arrays), study
    raise AssertionError("expected a study with one finding")
