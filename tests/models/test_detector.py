"""What is particular to the detector: its grid, its boxes, and that it begins sure of nothing."""

from __future__ import annotations

import pytest
import torch

from data_contracts import NetworkSpec, RecipeError
from medkd.models._build import build_network
from medkd.models.detector import PRIOR
from medkd.trace import layer_map_of, trace


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
@pytest.mark.parametrize("space", [(32, 64), (16, 32, 32)])
def test_cells_are_a_stride_wide_and_each_has_a_box(stride, space):
    spec = NetworkSpec(builder="detector", spatial_dims=len(space), options={"channels": (4, 8), "stride": stride, "head_features": 4})
    kept = trace(build_network(spec).eval(), torch.zeros(2, 1, *space))
    grid = tuple(extent // stride for extent in space)
    assert kept.logits.shape == (2, 2, *grid)
    assert kept.outputs["boxes"].shape == (2, 2 * len(space), *grid)


def test_it_begins_sure_of_nothing():
    network = build_network(NetworkSpec(builder="detector"))
    head = network.get_submodule(layer_map_of(network).head)
    assert torch.sigmoid(head.bias[1] - head.bias[0]).item() == pytest.approx(PRIOR)


def test_another_stride_is_refused():
    with pytest.raises(RecipeError, match="stride of 1, 2, 4 or 8") as caught:
        build_network(NetworkSpec(builder="detector", options={"stride": 3}))
    assert caught.value.code == "RECIPE_NETWORK"
