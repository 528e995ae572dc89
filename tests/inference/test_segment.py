"""A study through a network and back: what is said lies where it was seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import DataError, NetworkSpec, Task
from medkd.inference.predict import predict_volume
from medkd.inference.segment import prepare_study, segment
from medkd.models._build import build_network
from medkd.trace import LayerMap, frozen
from medkd.volumes.orientation import Grid

TASK = Task(kind="segmentation", classes=("background", "bright"), image_size=(16, 16, 16), window=(0.0, 1.0))
AFFINE = np.array([[0.0, 0.0, 1.0, 5.0], [0.0, -1.0, 0.0, 7.0], [-1.5, 0.0, 0.0, 9.0], [0.0, 0.0, 0.0, 1.0]])


class Threshold(nn.Module):
    """Calls bright what is bright: its answer is known at every voxel."""

    def __init__(self):
        super().__init__()
        self.features = nn.Identity()
        self.head = nn.Conv3d(1, 2, 1, bias=False)
        self.head.weight.data = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1)
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        return self.head(self.features(image))


def volume(shape):
    values = torch.zeros(shape)
    values[2:6, 3:9, 4:8] = 1.0
    return values


@pytest.mark.parametrize("shape", [(10, 12, 14), (30, 12, 14), (40, 33, 21)])
def test_the_segmentation_lies_on_the_studys_own_voxels(shape):
    values = volume(shape)
    study = prepare_study(values, Grid(shape, AFFINE), TASK)
    assert torch.equal(segment(Threshold(), study), values.to(torch.uint8))


def test_windows_change_nothing_for_a_volume_that_fits_into_one():
    network = build_network(NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 8)})).eval()
    image = torch.rand(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with frozen(network), torch.no_grad():
        plain = network(image[None])[0]
    torch.testing.assert_close(predict_volume(network, image, TASK), plain, atol=1e-5, rtol=1e-4)


def test_pictures_must_have_their_size():
    with pytest.raises(DataError) as caught:
        prepare_study(volume((10, 12, 14)), Grid((10, 12, 14), AFFINE), TASK.model_copy(update={"image_size": (64, 64)}))
    assert caught.value.code == "GRID_MISMATCH"
