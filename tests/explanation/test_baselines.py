"""Baselines know nothing of a network; a table has them always."""

import pytest
import torch

from medkd.explanation.baselines import BASELINES, centre_map, edge_map


@pytest.mark.parametrize("space", [(16, 20), (8, 12, 10)])
def test_they_are_maps_on_the_images_grid(space):
    images = torch.rand(3, 1, *space, generator=torch.Generator().manual_seed(0))
    for name, make in BASELINES.items():
        found = make(images)
        assert found.shape == (3, *space), name
        assert torch.equal(found, make(images)), name
        assert float(found.min()) >= 0, name
        assert float(found.std()) > 0, name


def test_edges_are_where_the_image_changes():
    image = torch.zeros(1, 1, 12, 12)
    image[..., 6:] = 1.0
    found = edge_map(image)[0]
    assert float(found[:, 4:8].mean()) > 10 * float(found[:, :3].mean() + 1e-6)


def test_the_centre_is_the_middle():
    found = centre_map(torch.zeros(1, 1, 9, 9, 9))[0]
    assert found.argmax() == found.numel() // 2
    assert found[4, 4, 4] == pytest.approx(1.0)
    assert float(found[0, 4, 4]) == pytest.approx(float(found[4, 4, 8]))
