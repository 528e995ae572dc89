"""Maps of what was segmented lie on it, on the study's own voxels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medkd.explanation.explain_lesions import explain_lesions
from medkd.explanation.subjects import Method
from medkd.inference.segment import on_network, prepare_study
from medkd.volumes.orientation import Grid

AFFINE = np.array([[0.0, 0.0, 1.0, 5.0], [0.0, -1.0, 0.0, 7.0], [-1.5, 0.0, 0.0, 9.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.mark.parametrize("shape", [(10, 12, 14), (40, 33, 21)])
def test_the_map_of_a_region_lies_on_the_region(loaded, shape):
    values = torch.zeros(shape)
    values[2:6, 3:9, 4:8] = 1.0
    study = prepare_study(values, Grid(shape, AFFINE), loaded.checkpoint.task)
    inside = on_network(study, values.to(torch.uint8)[None])
    attribution = study.to_study(explain_lesions(loaded.network, study, inside, [1], Method("cam")))[0]
    assert attribution.shape == shape
    place = torch.unravel_index(attribution.argmax(), attribution.shape)
    assert bool(values[place])
    assert float(attribution[values > 0].min()) > float(attribution[values == 0].max())


def test_a_region_that_vanishes_on_the_networks_grid_has_a_map_of_zeros(loaded):
    study = prepare_study(torch.zeros(10, 12, 14), Grid((10, 12, 14), AFFINE), loaded.checkpoint.task)
    nothing = on_network(study, torch.zeros(1, 10, 12, 14, dtype=torch.uint8))
    assert not explain_lesions(loaded.network, study, nothing, [1], Method("cam")).any()
